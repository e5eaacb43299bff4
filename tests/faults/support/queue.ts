import { type Pool } from 'pg';
import { makeAccount, makeUser } from '../../support/factories';
import { commentBatches, deliverInOrder } from './deliveries';
import { type Program } from './processes';

/**
 * One person with one account, and so many comments on it waiting to be processed: c-0, c-1 …
 * @returns Instagram's id of the account
 */
export async function makeWaitingComments(pool: Pool, count: number): Promise<string> {
  const [account] = (await makeAccounts(pool, 1)) as [string];
  const comments = Array.from({ length: count }, (_value, index) => ({ account, id: `c-${index}` }));
  await deliverInOrder(pool, commentBatches(comments));
  return account;
}

/** Accounts of one person. @returns Instagram's ids of them */
export async function makeAccounts(pool: Pool, count: number): Promise<string[]> {
  const owner = await makeUser(pool);
  const accounts: string[] = [];
  for (let index = 0; index < count; index++) accounts.push((await makeAccount(pool, owner.id)).igUserId);
  return accounts;
}

/**
 * Counts what really happened to `interactions`: each committed write of a row, also one that found the row there. The
 * table itself would hide a second effect behind its UNIQUE constraint.
 */
export async function countEffects(pool: Pool): Promise<void> {
  await pool.query(`
    CREATE TABLE effects (external_id text NOT NULL);
    CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO effects VALUES (NEW.external_id);
      RETURN NEW;
    END $$;
    CREATE TRIGGER count_effect BEFORE INSERT ON interactions FOR EACH ROW EXECUTE FUNCTION count_effect()`);
}

/** Makes handlers take time, at the place where the write of an effect happens. */
export async function slowHandlers(pool: Pool, seconds: number): Promise<void> {
  await slow(pool, 'interactions', 'INSERT', 'true', seconds);
}

/** Makes the charging of an attempt take time: a worker is then nearly always between the charge and its effect. */
export async function slowAttempts(pool: Pool, seconds: number): Promise<void> {
  await slow(pool, 'webhook_events', 'UPDATE', 'NEW.attempts > OLD.attempts', seconds);
}

/** Makes claiming take time, so that two workers often claim at the same moment. */
export async function slowClaims(pool: Pool, secondsPerEvent: number): Promise<void> {
  const when = `NEW.status = 'processing' AND OLD.status <> 'processing'`;
  await slow(pool, 'webhook_events', 'UPDATE', when, secondsPerEvent);
}

async function slow(pool: Pool, table: string, event: string, when: string, seconds: number): Promise<void> {
  await pool.query(`
    CREATE FUNCTION slow_${table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_sleep(${seconds});
      RETURN NEW;
    END $$;
    CREATE TRIGGER slow BEFORE ${event} ON ${table} FOR EACH ROW WHEN (${when}) EXECUTE FUNCTION slow_${table}()`);
}

export interface QueueState {
  pending: number;
  processing: number;
  processed: number;
  failed: number;
  dead_letter: number;
}

export async function queueState(pool: Pool): Promise<QueueState> {
  const { rows } = await pool.query<QueueState>(
    `SELECT count(*) FILTER (WHERE status = 'pending')::integer AS pending,
            count(*) FILTER (WHERE status = 'processing')::integer AS processing,
            count(*) FILTER (WHERE status = 'processed')::integer AS processed,
            count(*) FILTER (WHERE status = 'failed')::integer AS failed,
            count(*) FILTER (WHERE status = 'dead_letter')::integer AS dead_letter
     FROM webhook_events`,
  );
  return rows[0]!;
}

/** Events that this process has claimed, and of these the ones it has begun. */
export async function heldBy(pool: Pool, { pid }: Program): Promise<{ claimed: number; started: number }> {
  const { rows } = await pool.query<{ claimed: number; started: number }>(
    `SELECT count(*)::integer AS claimed, count(attempt_started_at)::integer AS started
     FROM webhook_events
     WHERE status = 'processing' AND locked_by LIKE '%:' || $1`,
    [pid],
  );
  return rows[0]!;
}

/** Every way in which the end could differ from "each of these events had its one effect"; all zero when it does not. */
export async function deviations(pool: Pool, expected: number): Promise<Record<string, number>> {
  const { rows } = await pool.query<Record<string, number>>(
    `WITH done AS (
       SELECT event.id, count(log.id) FILTER (WHERE log.outcome = 'processed') AS times
       FROM webhook_events event
       LEFT JOIN webhook_event_log log ON log.event_id = event.id
       GROUP BY event.id
     ), truth AS (
       SELECT date_trunc('hour', received_at) AS hour, user_id, instagram_account_id, event_type,
              count(*) FILTER (WHERE status = 'processed')::integer AS processed,
              count(*) FILTER (WHERE status = 'dead_letter')::integer AS dead_letter
       FROM webhook_events
       WHERE status IN ('processed', 'dead_letter')
       GROUP BY 1, 2, 3, 4
     ), counted AS (
       SELECT hour, user_id, instagram_account_id, event_type, processed, dead_letter
       FROM webhook_event_counts
       WHERE processed > 0 OR dead_letter > 0
     )
     SELECT $1 - (SELECT count(*) FROM webhook_events)::integer AS "missing events",
            (SELECT count(*) FROM webhook_events WHERE status <> 'processed')::integer AS "unfinished events",
            $1 - (SELECT count(DISTINCT external_id) FROM interactions)::integer AS "missing effects",
            (SELECT count(*) - count(DISTINCT external_id) FROM effects)::integer AS "doubled effects",
            $1 - (SELECT count(DISTINCT external_id) FROM effects)::integer AS "uncounted effects",
            (SELECT count(*) FROM done WHERE times = 0)::integer AS "unlogged events",
            (SELECT count(*) FROM done WHERE times > 1)::integer AS "events logged twice",
            (SELECT count(*) FROM ((TABLE truth EXCEPT TABLE counted) UNION ALL (TABLE counted EXCEPT TABLE truth)) AS difference)::integer
              AS "wrong statistics"`,
    [expected],
  );
  return Object.fromEntries(Object.entries(rows[0]!).filter(([, count]) => count !== 0));
}
