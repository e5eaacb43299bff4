import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryPrepared, queryRow } from '../db/query';
import { interactionCtes, interactionsJson, type SourcedInteraction } from './interactions';
import { QUEUE_IS_RUNNING_SQL } from './queueSettings';
import { addCounts } from './webhookEventStats';

/** Tries per event: at once, then after 1 s, 5 s and 30 s, then it is a dead letter. */
export const MAX_ATTEMPTS = 4;
const RETRY_DELAYS_S = [1, 5, 30];

/** The channel on which sleeping processors are woken. */
export const WAKE_CHANNEL = 'webhook_events';

/** direct: the handler needs the database only. graph: it asks Meta, and takes its time. */
export type Lane = 'direct' | 'graph';

const ClaimedEventSchema = z.object({
  id: z.string(),
  instagramAccountId: z.string().nullable(),
  userId: z.string().nullable(),
  igUserId: z.string().nullable(),
  object: z.string().nullable(),
  entryId: z.string().nullable(),
  eventType: z.string(),
  payload: z.unknown(),
  isTest: z.boolean(),
  occurredAt: z.date().nullable(),
  receivedAt: z.date(),
  attempt: z.number(),
  /** Null: the attempt is yet to be charged (startAttempt). */
  startedAt: z.date().nullable(),
});
export type ClaimedEvent = z.infer<typeof ClaimedEventSchema>;

/** The right to work on some events until the lease ends. Everything written under it proves that it still holds. */
export interface Lease {
  /** uuid, new for every claim. */
  token: string;
  worker: string;
  seconds: number;
}

/** How many attempts count: the death of a worker that had several events in hand does not, once the event is cleared. */
const COUNTED_ATTEMPTS = `(attempts - (suspicion IS NOT DISTINCT FROM 'cleared')::integer)`;
/** The same after an attempt whose worker lived, which clears it. */
const CLEARED_ATTEMPTS = `(attempts - (suspicion IS NOT NULL)::integer)`;

export interface ClaimRequest {
  lane: Lane;
  limit: number;
  /** The id of the account served last. */
  after: string;
  /** Of one account; all that are wanted when it is not said. */
  most?: number;
  /** Ids of accounts that are not to be served now. */
  except?: string[];
}

/**
 * Takes up to `limit` due events of a lane, in turn from each account that has some, beginning after the account with
 * the id `after`: nobody's flood keeps others waiting. No two callers get the same event: locked rows are skipped, and the
 * condition is repeated on the row that is changed, since a row that waited for a lock is checked against that alone.
 *
 * Events that were never tried and need nothing but the database are started by the same statement, since they are
 * processed together; their attempts are charged here. All others are charged one by one when their own handler starts: an
 * event that kills its worker must not cost its neighbours theirs.
 */
export function claimEvents(
  db: Db,
  lease: Lease,
  { lane, limit, after, most = limit, except = [] }: ClaimRequest,
): Promise<ClaimedEvent[]> {
  return queryPrepared(
    db,
    { name: 'claim-events', text: CLAIM },
    [lane, after, limit, lease.token, lease.seconds, lease.worker, most, except],
    ClaimedEventSchema,
  );
}

/** Never tried, and nothing has to be asked: neither Meta nor, under a lock, who owns it. */
const IS_BATCHED = `event.lane = 'direct' AND event.attempts = 0 AND (event.instagram_account_id IS NOT NULL OR event.object IS DISTINCT FROM 'instagram')`;

const CLAIM = `
  WITH RECURSIVE account AS (
    (SELECT account_id, due_at
     FROM webhook_queue
     WHERE lane = $1 AND status IN ('pending', 'failed') AND account_id > $2
     ORDER BY account_id, due_at
     LIMIT 1)
    UNION ALL
    SELECT next.account_id, next.due_at
    FROM account
    CROSS JOIN LATERAL (
      SELECT account_id, due_at
      FROM webhook_queue
      WHERE lane = $1 AND status IN ('pending', 'failed') AND account_id > account.account_id
      ORDER BY account_id, due_at
      LIMIT 1
    ) next
  ), turn AS MATERIALIZED (
    SELECT account_id FROM account WHERE due_at <= now() AND account_id <> ALL ($8::bigint[]) AND ${QUEUE_IS_RUNNING_SQL} LIMIT $3
  ), due AS MATERIALIZED (
    SELECT event.id
    FROM turn
    CROSS JOIN LATERAL (
      SELECT event.id
      FROM webhook_queue queued
      JOIN webhook_events event ON event.id = queued.event_id
      WHERE queued.lane = $1 AND queued.status IN ('pending', 'failed') AND queued.account_id = turn.account_id AND queued.due_at <= now()
        AND event.status IN ('pending', 'failed') AND event.next_attempt_at <= now()
      ORDER BY queued.due_at, queued.event_id
      LIMIT (SELECT least(ceil($3::numeric / count(*)), $7) FROM turn)
      FOR UPDATE OF event SKIP LOCKED
    ) event
    LIMIT $3
  ), claimed AS (
    UPDATE webhook_events event
    SET status = 'processing', lease_token = $4, lease_until = now() + make_interval(secs => $5), locked_by = $6,
        attempts = event.attempts + (${IS_BATCHED})::integer,
        attempt_started_at = CASE WHEN ${IS_BATCHED} THEN now() END
    FROM due
    WHERE event.id = due.id AND event.status IN ('pending', 'failed') AND event.next_attempt_at <= now()
    RETURNING event.id, event.instagram_account_id, event.user_id, event.object, event.entry_id, event.event_type, event.payload,
              event.is_test, event.occurred_at, event.received_at, event.attempts, event.attempt_started_at
  )
  SELECT claimed.id, claimed.instagram_account_id AS "instagramAccountId", claimed.user_id AS "userId", account.ig_user_id AS "igUserId",
         claimed.object, claimed.entry_id AS "entryId", claimed.event_type AS "eventType", claimed.payload, claimed.is_test AS "isTest",
         claimed.occurred_at AS "occurredAt", claimed.received_at AS "receivedAt", claimed.attempts AS attempt,
         claimed.attempt_started_at AS "startedAt"
  FROM claimed
  LEFT JOIN instagram_accounts account ON account.id = claimed.instagram_account_id
  ORDER BY claimed.id`;

/** Charges an attempt and renews the lease. Null: somebody else has the event now, leave it. */
export function startAttempt(
  db: Db,
  eventId: string,
  lease: Lease,
): Promise<{ attempt: number; startedAt: Date } | null> {
  return queryOptionalRow(
    db,
    `UPDATE webhook_events
     SET attempts = attempts + 1, attempt_started_at = now(), lease_until = now() + make_interval(secs => $3)
     WHERE id = $1 AND lease_token = $2 AND status = 'processing'
     RETURNING attempts AS attempt, attempt_started_at AS "startedAt"`,
    [eventId, lease.token, lease.seconds],
    z.object({ attempt: z.number(), startedAt: z.date() }),
  );
}

/** Keeps these events for another lease's time, as far as they are still held. */
export async function renewLease(db: Db, lease: Lease, eventIds: readonly string[]): Promise<void> {
  await execute(
    db,
    `UPDATE webhook_events
     SET lease_until = now() + make_interval(secs => $3)
     WHERE id = ANY ($1) AND lease_token = $2 AND status = 'processing'`,
    [eventIds, lease.token, lease.seconds],
  );
}

/** What came of an event that was processed. */
export interface EventEffect {
  eventId: string;
  /** ignored: there was nothing to do. */
  outcome: 'processed' | 'ignored';
  /** What it says; null with `ignored`. */
  effect: SourcedInteraction | null;
}

/**
 * Ends attempts well: what the events say, their status, their log rows and the hourly counts in one statement, so that
 * all is kept or nothing. An event whose lease was lost changes nothing.
 * @returns the ids of those that were still ours
 */
export async function finishEvents(
  db: Db,
  lease: Lease,
  startedAt: Date,
  effects: readonly EventEffect[],
): Promise<string[]> {
  const rows = await queryPrepared(
    db,
    { name: 'finish-events', text: FINISH },
    [
      lease.token,
      lease.worker,
      startedAt,
      JSON.stringify(effects.map(({ eventId, outcome }) => ({ eventId, outcome }))),
      interactionsJson(effects.flatMap(({ effect }) => (effect === null ? [] : [effect]))),
    ],
    z.object({ id: z.string() }),
  );
  return rows.map(({ id }) => id);
}

/** Not of what had nothing to do, nor of what came long ago: that was retried by hand. */
const LATENCY_MS = `CASE WHEN outcome = 'processed' AND received_at > now() - interval '1 hour' THEN extract(epoch FROM processed_at - received_at)::double precision * 1000 END`;

const FINISH = `
  WITH finished AS (
    UPDATE webhook_events event
    SET status = 'processed', processed_at = now(), last_error = NULL, suspicion = NULL,
        lease_token = NULL, lease_until = NULL, locked_by = NULL, attempt_started_at = NULL
    FROM json_to_recordset($4) AS ended ("eventId" bigint, outcome text)
    WHERE event.id = ended."eventId" AND event.lease_token = $1 AND event.status = 'processing'
    RETURNING event.id, ended.outcome, event.attempts, event.user_id, event.instagram_account_id, event.event_type, event.received_at, event.processed_at
  ), logged AS (
    INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, outcome)
    SELECT id, attempts, $2, $3, outcome
    FROM finished
  ), counted AS (
    ${addCounts('finished', { processed: '1', latencyMs: LATENCY_MS })}
  ), ${interactionCtes('$5', 'source_event_id IN (SELECT id FROM finished)')}
  SELECT id FROM finished`;

const FailedSchema = z.object({ status: z.enum(['failed', 'dead_letter']) });

export interface AttemptFailure {
  eventId: string;
  startedAt: Date;
  /** failed: tried again later while attempts are left. */
  outcome: 'failed' | 'dead_letter';
  errorCode: string;
  /** Redacted, at most 1 kB. */
  errorMessage: string;
  /** Meta asked to wait so long: the next attempt is not before. */
  retryAfterSeconds: number | null;
}

/** A longer wait is not believed. */
const LONGEST_WAIT_S = 3600;

/**
 * Ends an attempt that did not succeed.
 * @returns the event's status now; null when the lease was lost and nothing was changed
 */
export async function failAttempt(
  db: Db,
  lease: Lease,
  failure: AttemptFailure,
): Promise<'failed' | 'dead_letter' | null> {
  const row = await queryOptionalRow(
    db,
    `WITH failed AS (
       UPDATE webhook_events
       SET status = CASE WHEN $3 = 'dead_letter' OR ${CLEARED_ATTEMPTS} >= ${MAX_ATTEMPTS} THEN 'dead_letter' ELSE 'failed' END,
           -- up to a tenth more, so that what failed together does not come back together
           next_attempt_at = now() + greatest($8 * interval '1 second', (ARRAY[${RETRY_DELAYS_S.join(', ')}])[least(${CLEARED_ATTEMPTS}, ${RETRY_DELAYS_S.length})]
             * (1 + random() / 10) * interval '1 second'),
           last_error = $4,
           suspicion = CASE WHEN suspicion IS NOT NULL THEN 'cleared' END,
           lease_token = NULL, lease_until = NULL, locked_by = NULL, attempt_started_at = NULL
       WHERE id = $1 AND lease_token = $2 AND status = 'processing'
       RETURNING id, status, attempts, user_id, instagram_account_id, event_type, received_at
     ), logged AS (
       INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, outcome, error_code, error_message)
       SELECT id, attempts, $5, $6, status, $4, $7
       FROM failed
     ), counted AS (
       ${addCounts(`failed WHERE status = 'dead_letter'`, { deadLetter: '1' })}
     )
     SELECT status FROM failed`,
    [
      failure.eventId,
      lease.token,
      failure.outcome,
      failure.errorCode,
      lease.worker,
      failure.startedAt,
      failure.errorMessage.slice(0, 1000),
      Math.min(failure.retryAfterSeconds ?? 0, LONGEST_WAIT_S),
    ],
    FailedSchema,
  );
  return row?.status ?? null;
}

/** Hands events back that were claimed, with the attempt if one was charged: it was not their fault. */
export async function handBack(db: Db, lease: Lease, eventIds: readonly string[]): Promise<void> {
  const attempts = '(attempts - (attempt_started_at IS NOT NULL)::integer)';
  await execute(
    db,
    `UPDATE webhook_events
     SET attempts = ${attempts}, attempt_started_at = NULL, lease_token = NULL, lease_until = NULL, locked_by = NULL,
         status = CASE WHEN ${attempts} = 0 THEN 'pending' ELSE 'failed' END
     WHERE id = ANY ($1) AND lease_token = $2 AND status = 'processing'`,
    [eventIds, lease.token],
  );
}

/**
 * Puts events back whose worker let its lease run out. An attempt that had begun counts and is logged: an event that
 * killed its worker in every attempt becomes a dead letter. One that was started together with others is suspect: from
 * now on it runs alone.
 * @returns how many events were put back or given up
 */
export async function rescueEvents(db: Db): Promise<number> {
  const { count } = await queryRow(
    db,
    `WITH lost AS (
       SELECT event.id, event.locked_by, event.attempt_started_at
       FROM webhook_queue queued
       JOIN webhook_events event ON event.id = queued.event_id
       WHERE queued.status = 'processing' AND queued.due_at < now() AND event.status = 'processing' AND event.lease_until < now()
       LIMIT 100
       FOR UPDATE OF event SKIP LOCKED
     ), rescued AS (
       UPDATE webhook_events event
       SET status = CASE WHEN ${COUNTED_ATTEMPTS} >= ${MAX_ATTEMPTS} THEN 'dead_letter' WHEN attempts = 0 THEN 'pending' ELSE 'failed' END,
           last_error = CASE WHEN lost.attempt_started_at IS NULL THEN last_error ELSE 'worker_died' END,
           suspicion = CASE WHEN lost.attempt_started_at IS NOT NULL AND attempts = 1 AND lane = 'direct' THEN 'open' ELSE suspicion END,
           next_attempt_at = now(),
           lease_token = NULL, lease_until = NULL, locked_by = NULL, attempt_started_at = NULL
       FROM lost
       WHERE event.id = lost.id AND event.status = 'processing' AND event.lease_until < now()
       RETURNING event.id, event.status, event.attempts, event.user_id, event.instagram_account_id, event.event_type, event.received_at,
                 lost.locked_by, lost.attempt_started_at AS started_at
     ), logged AS (
       INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, outcome, error_code)
       SELECT id, attempts, coalesce(locked_by, '-'), started_at, 'worker_died', 'worker_died'
       FROM rescued
       WHERE started_at IS NOT NULL
     ), counted AS (
       ${addCounts(`rescued WHERE status = 'dead_letter'`, { deadLetter: '1' })}
     )
     SELECT count(*)::integer AS count FROM rescued`,
    [],
    z.object({ count: z.number() }),
  );
  return count;
}

/** More are not counted. */
export const MOST_COUNTED = 10_000;

/** How many events wait in each lane, MOST_COUNTED + 1 at most. */
export function countWaiting(db: Db): Promise<Record<Lane, number>> {
  const count = (lane: Lane) => `(
    SELECT count(*)
    FROM (SELECT FROM webhook_queue WHERE lane = '${lane}' AND status IN ('pending', 'failed') LIMIT ${MOST_COUNTED + 1}) waiting
  )::integer AS ${lane}`;
  return queryRow(
    db,
    `SELECT ${count('direct')}, ${count('graph')}`,
    [],
    z.object({ direct: z.number(), graph: z.number() }),
  );
}

/** Wakes processors that wait for work. */
export async function wakeProcessors(db: Db): Promise<void> {
  await execute(db, `NOTIFY ${WAKE_CHANNEL}`);
}
