// What the queues' workers share: the effect of one job, and what they tell the benchmark.
import process from 'node:process';

/** The row that the application's own handler writes for a comment, in the same table with the same indexes. */
const INSERT_EFFECTS = `
  INSERT INTO interactions (user_id, instagram_account_id, kind, external_id, thread_id, parent_external_id, direction,
                            author_id, author_username, body, details, occurred_at)
  SELECT account.user_id, account.id, 'comment', job ->> 'id', job -> 'media' ->> 'id', job ->> 'parent_id', 'in',
         job -> 'from' ->> 'id', job -> 'from' ->> 'username', job ->> 'text', '{"live": false}',
         to_timestamp((job ->> 'created_time')::bigint)
  FROM unnest($1::jsonb[]) AS job
  JOIN instagram_accounts account ON account.ig_user_id = job ->> 'igUserId' AND account.status <> 'disconnected'
  ON CONFLICT (instagram_account_id, kind, external_id) DO NOTHING`;

/** Settings of this contestant, from the benchmark. */
export const settings = JSON.parse(process.env.BENCH_SETTINGS);

/** Does what the jobs ask for, in one statement. @param query of any connection or pool */
export async function applyJobs(query, jobs) {
  if (settings.hasEffect) await query(INSERT_EFFECTS, [jobs]);
}

/** The benchmark reads the last line. */
export function report(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

export function stopSignal() {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve);
  });
}
