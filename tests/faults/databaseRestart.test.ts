import { useCluster } from './support/cluster';
import { commentBodies, storedComments } from './support/deliveries';
import { figure } from './support/figures';
import {
  endOf,
  type Program,
  type Server,
  settings,
  startProcessor,
  startServer,
  waitUntil,
} from './support/processes';
import { countEffects, deviations, makeAccounts, queueState, slowHandlers } from './support/queue';
import { Sender } from './support/sender';

const POSTS = figure(3000, 8000);
const BACKLOG = 500;
const RECOVERY_SECONDS = 5;
const WAKINGS = 20;

const cluster = useCluster();

describe.each(['immediate', 'fast'] as const)('a server whose database is restarted (-m %s)', (mode) => {
  let server: Server;
  let sender: Sender;

  beforeAll(async () => {
    server = await startServer(settings(cluster.url));
    sender = new Sender(server.port);
  });
  afterAll(() => {
    sender.close();
    server.signal('SIGKILL');
  });

  it('loses nothing that it acknowledged, and goes on', async () => {
    const bodies = commentBodies(`${mode}-load`, 'c', POSTS);
    let restart: Promise<void> | undefined;
    const answers = await sender.postUntilStored(bodies, (stored) => {
      if (stored >= POSTS / 3) restart ??= cluster.restart(mode);
    });
    await restart;
    expect(answers).toEqual(new Set([200, 503]));
    expect((await storedComments(cluster.pool, `${mode}-load`)).sort()).toEqual([...bodies.keys()].sort());
    expect(server.isRunning).toBe(true);
  });

  it('refuses while it is down, and takes deliveries soon after it is back', async () => {
    await cluster.stop(mode);
    const answers = new Set<number | null>();
    const bodies = commentBodies(`${mode}-down`, 'c', 200);
    await sender.postAll(bodies, (_id, answer) => answers.add(answer));
    expect(answers).toEqual(new Set([503]));
    expect(sender.refusalsWithoutDelay).toBe(0);
    await cluster.start();
    await waitUntilItTakesDeliveries(`${mode}-up`);
    expect(await storedComments(cluster.pool, `${mode}-down`)).toEqual([]);
  });

  it('outlives it when nothing is going on', async () => {
    const bodies = commentBodies(`${mode}-idle`, 'c', 100);
    expect(await sender.postUntilStored(bodies)).toEqual(new Set([200])); // now its connections are open
    await cluster.restart(mode);
    await waitUntilItTakesDeliveries(`${mode}-woken`);
  });

  async function waitUntilItTakesDeliveries(account: string): Promise<void> {
    const [body] = commentBodies(account, 'c', 1).values();
    await waitUntil('it answers 200', async () => (await sender.post(body!)) === 200, RECOVERY_SECONDS);
    expect(server.isRunning).toBe(true);
    expect(await storedComments(cluster.pool, account)).toEqual(['c-0']);
  }
});

describe('a processor whose database is restarted', () => {
  let account: string;
  let sender: Sender;
  let processor: Program;
  let expected = 0;

  beforeAll(async () => {
    await cluster.pool.query('DELETE FROM webhook_events');
    [account] = (await makeAccounts(cluster.pool, 1)) as [string];
    await countEffects(cluster.pool);
    await slowHandlers(cluster.pool, 0.002);
    sender = new Sender((await startServer(settings(cluster.url))).port);
  });
  beforeEach(() => {
    processor = startProcessor({ ...settings(cluster.url), WEBHOOK_LEASE_SECONDS: '3' });
  });
  afterEach(async () => {
    processor.signal('SIGTERM');
    await endOf(processor, 15);
  });
  afterAll(() => sender.close());

  it.each(['immediate', 'fast'] as const)(
    'goes on with what it was doing, each event once (-m %s)',
    async (mode) => {
      const before = expected;
      await store(mode, BACKLOG);
      await waitUntil('it is in the middle', async () => (await processed()) > before);
      await cluster.restart(mode);
      await waitUntil('all is done', async () => (await processed()) === expected);
      expect(await deviations(cluster.pool, expected)).toEqual({});
    },
  );

  it.each(['immediate', 'fast'] as const)(
    'is woken by what comes in afterwards, not just by its clock (-m %s)',
    async (mode) => {
      await store(`${mode}-before`, 1);
      await waitUntil('it is at work', async () => (await processed()) === expected);
      await cluster.restart(mode);
      await store(`${mode}-after`, 1);
      await waitUntil('it is at work again', async () => (await processed()) === expected);
      const began = performance.now();
      for (let waking = 0; waking < WAKINGS; waking++) {
        await store(`${mode}-${waking}`, 1);
        await waitUntil('it is done', async () => (await processed()) === expected);
      }
      // By its clock alone it would come to one of them a second.
      expect((performance.now() - began) / 1000).toBeLessThan(WAKINGS / 2);
    },
  );

  async function store(name: string, count: number): Promise<void> {
    expected += count;
    await sender.postUntilStored(commentBodies(account, name, count));
  }

  async function processed(): Promise<number> {
    if (!processor.isRunning) throw new Error(`The processor ended: ${(await processor.ended).stderr}`);
    return (await queueState(cluster.pool)).processed;
  }
});
