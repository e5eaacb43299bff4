import { useDatabase } from '../support/database';
import { commentBatches, deliverInOrder } from './support/deliveries';
import { figure } from './support/figures';
import { settings, startProcessor, waitUntil } from './support/processes';
import { makeAccounts } from './support/queue';

const FLOOD = figure(5000, 50_000);
const QUIET_ACCOUNTS = 39;

const { pool, config } = useDatabase();

describe('an account with thousands of waiting events', () => {
  it('lets the later event of each other account go before nearly all of them', async () => {
    const [busy, ...quiet] = await makeAccounts(pool, 1 + QUIET_ACCOUNTS);
    const flood = Array.from({ length: FLOOD }, (_value, index) => ({
      account: busy!,
      id: `flood-${index}`,
    }));
    await deliverInOrder(pool, commentBatches(flood));
    await deliverInOrder(pool, commentBatches(quiet.map((account) => ({ account, id: 'quiet' }))));
    for (let workers = 0; workers < 2; workers++) startProcessor(settings(config.connectionString));
    const isDone = async () => (await quietEvents()).done === QUIET_ACCOUNTS;
    await waitUntil('the quiet accounts have theirs', isDone, figure(60, 600));
    expect((await quietEvents()).floodBefore).toBeLessThan(FLOOD / 2);
  });
});

/** How many of the quiet accounts' events are done, and how many of the flood were done before the last of them. */
async function quietEvents(): Promise<{ done: number; floodBefore: number }> {
  const { rows } = await pool.query<{ done: number; floodBefore: number }>(
    `WITH processed AS (
       SELECT processed_at, payload -> 'value' ->> 'id' = 'quiet' AS is_quiet
       FROM webhook_events
       WHERE status = 'processed'
     )
     SELECT (count(*) FILTER (WHERE is_quiet))::integer AS done,
            (count(*) FILTER (WHERE processed_at < (SELECT max(processed_at) FROM processed WHERE is_quiet)))::integer AS "floodBefore"
     FROM processed`,
  );
  return rows[0]!;
}
