import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryRows } from '../db/query';

/** Tries per event: at once, then after 1 s, 5 s and 30 s, then it is a dead letter. */
export const MAX_ATTEMPTS = 4;
const RETRY_DELAYS_SQL = `(ARRAY[1, 5, 30])[least(attempts, 3)]`;

/** The channel on which sleeping processors are woken. */
export const WAKE_CHANNEL = 'webhook_events';

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
});
export type ClaimedEvent = z.infer<typeof ClaimedEventSchema>;

/** The right to work on some events until the lease ends. Everything written under it proves that it still holds. */
export interface Lease {
  /** uuid, new for every claim. */
  token: string;
  worker: string;
  seconds: number;
}

/**
 * Takes up to `limit` due events, longest due first. No two callers get the same one: locked rows are skipped, and the
 * condition is repeated on the row that is changed, since a row that waited for a lock is checked against that alone.
 * Attempts are not charged here (see startAttempt): an event that kills its worker must not cost its neighbours theirs.
 */
export function claimEvents(db: Db, lease: Lease, limit: number): Promise<ClaimedEvent[]> {
  return queryRows(
    db,
    `WITH due AS (
       SELECT id
       FROM webhook_events
       WHERE status IN ('pending', 'failed') AND next_attempt_at <= now()
       ORDER BY next_attempt_at, id
       LIMIT $1
       FOR UPDATE SKIP LOCKED
     ), claimed AS (
       UPDATE webhook_events event
       SET status = 'processing', lease_token = $2, lease_until = now() + make_interval(secs => $3), locked_by = $4, attempt_started_at = NULL
       FROM due
       WHERE event.id = due.id AND event.status IN ('pending', 'failed') AND event.next_attempt_at <= now()
       RETURNING event.id, event.instagram_account_id, event.user_id, event.object, event.entry_id, event.event_type, event.payload,
                 event.is_test, event.occurred_at, event.received_at
     )
     SELECT claimed.id, claimed.instagram_account_id AS "instagramAccountId", claimed.user_id AS "userId", account.ig_user_id AS "igUserId",
            claimed.object, claimed.entry_id AS "entryId", claimed.event_type AS "eventType", claimed.payload, claimed.is_test AS "isTest",
            claimed.occurred_at AS "occurredAt", claimed.received_at AS "receivedAt"
     FROM claimed
     LEFT JOIN instagram_accounts account ON account.id = claimed.instagram_account_id
     ORDER BY claimed.id`,
    [limit, lease.token, lease.seconds, lease.worker],
    ClaimedEventSchema,
  );
}

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

const FinishedSchema = z.object({ status: z.enum(['processed', 'failed', 'dead_letter']) });
type FinishedStatus = z.infer<typeof FinishedSchema>['status'];

export interface AttemptEnd {
  eventId: string;
  startedAt: Date;
  /** ignored: there was nothing to do. failed: tried again later while attempts are left. */
  outcome: 'processed' | 'ignored' | 'failed' | 'dead_letter';
  errorCode?: string;
  /** Redacted, at most 1 kB. */
  errorMessage?: string;
}

/**
 * Ends an attempt: the event's next status, its log row and the hourly counts in one statement. Called in the
 * transaction of the handler's own writes, so that both are kept or neither.
 * @returns the event's status now; null when the lease was lost, and the caller must roll back
 */
export async function finishAttempt(db: Db, lease: Lease, end: AttemptEnd): Promise<FinishedStatus | null> {
  const isDone = end.outcome === 'processed' || end.outcome === 'ignored';
  const row = await queryOptionalRow(
    db,
    `WITH finished AS (
       UPDATE webhook_events
       SET status = CASE
             WHEN $3 THEN 'processed'
             WHEN $4 = 'dead_letter' OR attempts >= ${MAX_ATTEMPTS} THEN 'dead_letter'
             ELSE 'failed'
           END,
           -- up to a tenth more, so that what failed together does not come back together
           next_attempt_at = CASE WHEN $3 THEN next_attempt_at ELSE now() + ${RETRY_DELAYS_SQL} * (1 + random() / 10) * interval '1 second' END,
           processed_at = CASE WHEN $3 THEN now() END,
           last_error = $5,
           lease_token = NULL, lease_until = NULL, locked_by = NULL, attempt_started_at = NULL
       WHERE id = $1 AND lease_token = $2 AND status = 'processing'
       RETURNING id, status, attempts, user_id, instagram_account_id, event_type, received_at
     ), logged AS (
       INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, outcome, error_code, error_message)
       SELECT id, attempts, $6, $7, CASE WHEN status = 'dead_letter' THEN 'dead_letter' ELSE $4 END, $5, $8
       FROM finished
     ), counted AS (
       INSERT INTO webhook_event_stats (hour, user_id, instagram_account_id, event_type, processed, dead_letter)
       SELECT date_trunc('hour', received_at, 'UTC'), user_id, instagram_account_id, event_type,
              (status = 'processed')::integer, (status = 'dead_letter')::integer
       FROM finished
       WHERE status IN ('processed', 'dead_letter')
       ON CONFLICT (user_id, hour, instagram_account_id, event_type) DO UPDATE
       SET processed = webhook_event_stats.processed + excluded.processed,
           dead_letter = webhook_event_stats.dead_letter + excluded.dead_letter
     )
     SELECT status FROM finished`,
    [
      end.eventId,
      lease.token,
      isDone,
      end.outcome,
      end.errorCode ?? null,
      lease.worker,
      end.startedAt,
      end.errorMessage?.slice(0, 1000) ?? null,
    ],
    FinishedSchema,
  );
  return row?.status ?? null;
}

/** Takes an attempt back that could not be made, through no fault of the event, and lets it be tried at once. */
export async function returnAttempt(db: Db, eventId: string, lease: Lease): Promise<void> {
  await execute(
    db,
    `UPDATE webhook_events
     SET attempts = attempts - 1, attempt_started_at = NULL, lease_token = NULL, lease_until = NULL, locked_by = NULL,
         status = CASE WHEN attempts = 1 THEN 'pending' ELSE 'failed' END
     WHERE id = $1 AND lease_token = $2 AND status = 'processing' AND attempt_started_at IS NOT NULL`,
    [eventId, lease.token],
  );
}

/** Hands back what was claimed and not started. */
export async function releaseEvents(db: Db, lease: Lease): Promise<number> {
  return execute(
    db,
    `UPDATE webhook_events
     SET status = CASE WHEN attempts = 0 THEN 'pending' ELSE 'failed' END, lease_token = NULL, lease_until = NULL, locked_by = NULL
     WHERE lease_token = $1 AND status = 'processing' AND attempt_started_at IS NULL`,
    [lease.token],
  );
}

/**
 * Puts events back whose worker let its lease run out. An attempt that had begun counts and is logged: an event that
 * killed its worker in every attempt becomes a dead letter.
 * @returns how many events were put back or given up
 */
export async function rescueEvents(db: Db): Promise<number> {
  return execute(
    db,
    `WITH lost AS (
       SELECT id, locked_by, attempt_started_at
       FROM webhook_events
       WHERE status = 'processing' AND lease_until < now()
       ORDER BY lease_until
       LIMIT 100
       FOR UPDATE SKIP LOCKED
     ), rescued AS (
       UPDATE webhook_events event
       SET status = CASE WHEN event.attempts >= ${MAX_ATTEMPTS} THEN 'dead_letter' WHEN event.attempts = 0 THEN 'pending' ELSE 'failed' END,
           last_error = CASE WHEN event.attempt_started_at IS NULL THEN event.last_error ELSE 'worker_died' END,
           next_attempt_at = now(),
           lease_token = NULL, lease_until = NULL, locked_by = NULL, attempt_started_at = NULL
       FROM lost
       WHERE event.id = lost.id AND event.status = 'processing' AND event.lease_until < now()
       RETURNING event.id, event.status, event.attempts, event.user_id, event.instagram_account_id, event.event_type, event.received_at,
                 lost.locked_by, lost.attempt_started_at
     ), logged AS (
       INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, outcome, error_code)
       SELECT id, attempts, coalesce(locked_by, '-'), attempt_started_at, 'worker_died', 'worker_died'
       FROM rescued
       WHERE attempt_started_at IS NOT NULL
     ), counted AS (
       INSERT INTO webhook_event_stats (hour, user_id, instagram_account_id, event_type, dead_letter)
       SELECT date_trunc('hour', received_at, 'UTC'), user_id, instagram_account_id, event_type, count(*)
       FROM rescued
       WHERE status = 'dead_letter'
       GROUP BY 1, 2, 3, 4
       ORDER BY 2, 1, 3, 4 -- one order for all: two statements with the same rows must not wait for each other
       ON CONFLICT (user_id, hour, instagram_account_id, event_type) DO UPDATE
       SET dead_letter = webhook_event_stats.dead_letter + excluded.dead_letter
     )
     SELECT id FROM rescued`,
  );
}

/** Wakes processors that wait for work. */
export async function wakeProcessors(db: Db): Promise<void> {
  await execute(db, `NOTIFY ${WAKE_CHANNEL}`);
}
