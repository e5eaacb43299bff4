import { type Pool } from 'pg';
import { commentItem, notification } from '../../support/webhook';
import { endOf, settings, startServer } from './processes';
import { Sender } from './sender';

/** So many bodies with one comment each, by the comment's id: NAME-0, NAME-1 … */
export function commentBodies(accountId: string, name: string, count: number): Map<string, string> {
  return new Map(
    Array.from({ length: count }, (_value, index) => {
      const id = `${name}-${index}`;
      return [id, notification(accountId, { changes: [commentItem(id)] })];
    }),
  );
}

/** The bodies of POSTs with these comments in this order, up to a thousand in each, as Meta would batch them. */
export function commentBatches(comments: readonly { account: string; id: string }[]): string[] {
  const entries = comments.map(({ account, id }) => ({
    id: account,
    time: 1795000001,
    changes: [commentItem(id)],
  }));
  return Array.from({ length: Math.ceil(entries.length / 1000) }, (_value, index) =>
    JSON.stringify({ object: 'instagram', entry: entries.slice(index * 1000, (index + 1) * 1000) }),
  );
}

/** Has a server store these bodies in this order, and ends it. */
export async function deliverInOrder(pool: Pool, bodies: readonly string[]): Promise<void> {
  const server = await startServer(settings(pool.options.connectionString!));
  const sender = new Sender(server.port, 1);
  for (const body of bodies) {
    const answer = await sender.post(body);
    if (answer !== 200) throw new Error(`A delivery was answered ${answer}.`);
  }
  sender.close();
  server.signal('SIGTERM');
  await endOf(server, 15);
}

/** The ids of an account's comments, as often as they are stored. */
export async function storedComments(pool: Pool, accountId: string): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `SELECT payload -> 'value' ->> 'id' AS id
     FROM webhook_events
     WHERE entry_id = $1`,
    [accountId],
  );
  return rows.map(({ id }) => id);
}
