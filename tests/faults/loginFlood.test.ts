import { Browser } from '../support/browser';
import { useDatabase } from '../support/database';
import { commentBodies, storedComments } from './support/deliveries';
import { settings, startServer } from './support/processes';
import { type Answer, Sender } from './support/sender';

const POSTS = 1000;
const LOGINS = 50;
const READERS = 10;
const ACCOUNT = '17841400000000001';

const { pool, config } = useDatabase();

describe('a server at which many guess passwords and many look at their dashboard', () => {
  it('takes every delivery all the same', async () => {
    const server = await startServer({ ...settings(config.connectionString), RATE_LIMIT_SCALE: '1000' });
    const guesser = new Browser(server.url);
    const csrfToken = await guesser.csrfToken();
    const reader = new Browser(server.url);
    await reader.register();

    let isOver = false;
    const counts = new Map<string, number>();
    const repeat = async (work: () => Promise<string>) => {
      while (!isOver) {
        const answer = await work();
        counts.set(answer, (counts.get(answer) ?? 0) + 1);
      }
    };
    const guess = async () => {
      const response = await guesser.fetch('/auth/login', {
        method: 'POST',
        headers: {
          Accept: 'application/json',
          'Content-Type': 'application/json',
          'X-CSRF-Token': csrfToken,
        },
        body: JSON.stringify({ email: 'nobody@example.com', password: 'a wrong guess' }),
      });
      await response.arrayBuffer();
      return `login ${response.status}`;
    };
    const read = async () => `dashboard ${(await reader.get('/dashboard')).status}`;
    const others = [
      ...Array.from({ length: LOGINS }, () => repeat(guess)),
      ...Array.from({ length: READERS }, () => repeat(read)),
    ];

    const sender = new Sender(server.port);
    const bodies = commentBodies(ACCOUNT, 'c', POSTS);
    const answers = new Set<Answer>();
    await sender.postAll(bodies, (_id, answer) => answers.add(answer));
    isOver = true;
    await Promise.all(others);
    sender.close();

    expect(answers).toEqual(new Set([200]));
    expect((await storedComments(pool, ACCOUNT)).sort()).toEqual([...bodies.keys()].sort());
    expect(counts.get('login 401')).toBeGreaterThan(0); // the flood was one
    expect(counts.get('dashboard 200')).toBeGreaterThan(0);
    for (const answer of counts.keys()) expect(answer).toMatch(/^(login (401|503)|dashboard 200)$/);
  });
});
