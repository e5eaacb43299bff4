import { itWith } from '../deploy/tools';
import { useCluster } from './support/cluster';
import { commentBodies, storedComments } from './support/deliveries';
import { watchMemory } from './support/memory';
import { type Server, settings, startServer, waitUntil } from './support/processes';
import { type Answer, Sender } from './support/sender';

const POSTS = 500;
const RECOVERY_SECONDS = 5;
const MAX_GROWTH_MEGABYTES = 150;

describe('a server whose database hangs', () => {
  const cluster = useCluster();
  let server: Server;
  let sender: Sender;

  beforeAll(async () => {
    server = await startServer(settings(cluster.url));
    sender = new Sender(server.port, POSTS); // all at once
    await sender.postUntilStored(commentBodies('before', 'c', 1000));
  });
  afterAll(() => sender.close());

  it('refuses every delivery while a lock holds the events', async () => {
    const client = await cluster.pool.connect();
    await client.query('BEGIN; LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE');
    try {
      await expectRefusals('locked');
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    await expectRecovery('locked');
  });

  itWith('pgrep')('refuses every delivery while all processes of the database stand still', async () => {
    cluster.pause();
    try {
      await expectRefusals('paused');
    } finally {
      cluster.resume();
    }
    await expectRecovery('paused');
  });

  /** Each has its answer while the fault still goes on. */
  async function expectRefusals(account: string): Promise<void> {
    const memory = watchMemory(server);
    const answers: Answer[] = [];
    const sending = sender.postAll(commentBodies(account, 'c', POSTS), (_id, answer) => answers.push(answer));
    await waitUntil('each has its answer', () => answers.length === POSTS);
    await sending;
    expect(new Set(answers)).toEqual(new Set([503]));
    expect(sender.refusalsWithoutDelay).toBe(0);
    expect(memory.growthInMegabytes()).toBeLessThan(MAX_GROWTH_MEGABYTES);
  }

  /** What was refused is sent again; some of it may have been stored all the same. */
  async function expectRecovery(account: string): Promise<void> {
    const bodies = commentBodies(account, 'c', POSTS);
    const [first] = bodies.values();
    await waitUntil('it answers 200', async () => (await sender.post(first!)) === 200, RECOVERY_SECONDS);
    await sender.postUntilStored(bodies);
    expect((await storedComments(cluster.pool, account)).sort()).toEqual([...bodies.keys()].sort());
    expect(server.isRunning).toBe(true);
  }
});
