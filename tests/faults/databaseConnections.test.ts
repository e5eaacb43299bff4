import { Client } from 'pg';
import { useCluster } from './support/cluster';
import { commentBodies, storedComments } from './support/deliveries';
import { figure } from './support/figures';
import { type Server, settings, startServer, waitUntil } from './support/processes';
import { type Answer, Sender } from './support/sender';

const POSTS = figure(2000, 8000);
const RECOVERY_SECONDS = 5;
const TERMINATE = `
  SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
  WHERE usename = 'app' AND application_name LIKE 'insta-connect-demo%'`;

describe('a server', () => {
  const cluster = useCluster({ settings: { max_connections: '30' } });
  let server: Server;
  let sender: Sender;

  beforeAll(async () => {
    server = await startServer(settings(cluster.url));
    sender = new Sender(server.port);
    expect(await sender.postUntilStored(commentBodies('before', 'c', 100))).toEqual(new Set([200]));
  });
  afterAll(() => sender.close());

  it('refuses deliveries when others have taken every connection, until one is free', async () => {
    const others: Client[] = [];
    try {
      await takeEveryConnection(others);
      const answers = new Set<Answer>();
      const bodies = commentBodies('crowded', 'c', 200);
      await sender.postAll(bodies, (_id, answer) => answers.add(answer));
      expect(answers).toEqual(new Set([503]));
      expect(sender.refusalsWithoutDelay).toBe(0);
    } finally {
      await Promise.all(others.map((other) => other.end()));
    }
    const [body] = commentBodies('free', 'c', 1).values();
    await waitUntil('it answers 200', async () => (await sender.post(body!)) === 200, RECOVERY_SECONDS);
    expect(await storedComments(cluster.pool, 'free')).toEqual(['c-0']);
    expect(await storedComments(cluster.pool, 'crowded')).toEqual([]);
    expect(server.isRunning).toBe(true);
  });

  it('loses nothing when its connections are cut off again and again', async () => {
    const bodies = commentBodies('cut', 'c', POSTS);
    let cuts = 0;
    let cutting = Promise.resolve();
    const answers = await sender.postUntilStored(bodies, (stored) => {
      if (stored % 100 !== 0) return;
      cutting = cutting.then(async () => {
        cuts += (await cluster.asSuperuser(TERMINATE)).length;
      });
    });
    await cutting;
    expect(cuts).toBeGreaterThan(0);
    expect(answers).toEqual(new Set([200, 503]));
    expect((await storedComments(cluster.pool, 'cut')).sort()).toEqual([...bodies.keys()].sort());
    expect(server.isRunning).toBe(true);
  });

  /** Those of the server as well. */
  async function takeEveryConnection(others: Client[]): Promise<void> {
    do {
      await cluster.asSuperuser(TERMINATE);
      for (;;) {
        const other = new Client(cluster.url);
        other.on('error', () => undefined);
        try {
          await other.connect();
          others.push(other);
        } catch (error) {
          if ((error as { code?: string }).code !== '53300') throw error;
          break;
        }
      }
    } while ((await cluster.asSuperuser(TERMINATE)).length > 0);
  }
});
