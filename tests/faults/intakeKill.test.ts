import { useDatabase } from '../support/database';
import { commentItem, notification } from '../support/webhook';
import { endOf, settings, startServer } from './support/processes';
import { random, randomBetween } from './support/random';
import { Sender } from './support/sender';

const POSTS = 2000;
const ROUNDS = Array.from({ length: 10 }, (_value, index) => index + 1);

const { pool, config } = useDatabase();

describe('a server that is killed while it takes deliveries', () => {
  it.each(ROUNDS)('has lost, doubled and invented nothing (round %i of 10)', async (round) => {
    const accountId = `1784140000000${1000 + round}`;
    const bodies = new Map<string, string>();
    for (let index = 0; index < POSTS; index++) {
      const id = `r${round}-${index}`;
      bodies.set(id, notification(accountId, { changes: [commentItem(id)] }));
    }

    const killAt = Math.round(POSTS * (0.2 + 0.6 * random()));
    const server = await startServer(settings(config.connectionString));
    const sender = new Sender(server.port);
    const acknowledged = new Set<string>();
    await sender.postAll(bodies, (id, answer) => {
      if (answer === 200) acknowledged.add(id);
      if (acknowledged.size === killAt) server.signal('SIGKILL');
    });
    sender.close();
    expect((await endOf(server, 10)).signal).toBe('SIGKILL');
    expect(acknowledged.size).toBeLessThan(POSTS); // else nothing was under way
    const kept = new Set(await storedIds(accountId));
    expect([...acknowledged].filter((id) => !kept.has(id))).toEqual([]);

    const restarted = await startServer(settings(config.connectionString));
    const again = new Map([...bodies].filter(([id]) => !acknowledged.has(id) || randomBetween(1, 10) === 1));
    const refused = new Map<string, number | null>();
    const secondSender = new Sender(restarted.port);
    await secondSender.postAll(again, (id, answer) => {
      if (answer !== 200) refused.set(id, answer);
    });
    secondSender.close();
    expect(refused).toEqual(new Map());
    expect((await storedIds(accountId)).sort()).toEqual([...bodies.keys()].sort());
    restarted.signal('SIGKILL');
    await restarted.ended;
  });
});

/** As often as they are stored. */
async function storedIds(accountId: string): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `SELECT payload -> 'value' ->> 'id' AS id
     FROM webhook_events
     WHERE entry_id = $1`,
    [accountId],
  );
  return rows.map(({ id }) => id);
}
