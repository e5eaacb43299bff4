import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryRow, queryRows } from '../db/query';
import {
  EVENT_STATUSES,
  type EventFilters,
  type EventViewer,
  filterParams,
  FRESH_BUDGET,
  MATCHES_FILTERS,
  retryableFilters,
} from './webhookEvents';
import { addCounts } from './webhookEventStats';

/** Events of one bulk retry; of more than these the oldest are taken. */
export const MAX_TOTAL = 100_000;
/** Of one person, at the same time. */
export const MAX_RUNNING = 3;
/** Bounds a step whose filters match next to nothing. */
const SCAN_LIMIT = 1_000;

const InstantSchema = z
  .string()
  .transform((value) => new Date(value))
  .nullable();
const FiltersSchema = z.object({
  status: z.array(z.enum(EVENT_STATUSES)),
  eventType: z.array(z.string()),
  accountId: z.array(z.string()),
  from: InstantSchema,
  to: InstantSchema,
  q: z.string().nullable(),
});

const COLUMNS = `job.id, job.status, job.filters, job.total, job.queued, job.skipped, job.created_at AS "createdAt",
  job.last_step_at AS "lastStepAt", job.finished_at AS "finishedAt", job.cancelled_at AS "cancelledAt"`;
const BulkRetrySchema = z.object({
  id: z.string(),
  status: z.enum(['running', 'cancelled', 'finished']),
  /** Never without a status: failed, dead_letter or both. */
  filters: FiltersSchema,
  /** What matched at creation. */
  total: z.number(),
  queued: z.number(),
  /** Needed no retry any more; known once it is finished. */
  skipped: z.number(),
  createdAt: z.date(),
  lastStepAt: z.date().nullable(),
  finishedAt: z.date().nullable(),
  cancelledAt: z.date().nullable(),
});
export type BulkRetry = z.infer<typeof BulkRetrySchema>;

const ClaimedSchema = BulkRetrySchema.extend({
  userId: z.string(),
  isOperator: z.boolean(),
  cursorEventId: z.string(),
  lastEventId: z.string(),
});
export type ClaimedBulkRetry = z.infer<typeof ClaimedSchema>;

/** The events that failed, found by the queue's index; parameters as in filterParams. */
const RETRYABLE = `(
  SELECT event_id FROM webhook_queue WHERE status IN ('failed', 'dead_letter') AND user_id = $1
  UNION ALL
  SELECT event_id FROM webhook_queue WHERE status IN ('failed', 'dead_letter') AND user_id IS NULL AND $2
) queued
JOIN webhook_events event ON event.id = queued.event_id`;

/** How many failed events and dead letters match now. `isMore`: there are more than `count`. */
export async function countRetryable(
  db: Db,
  viewer: EventViewer,
  filters: EventFilters,
): Promise<{ count: number; isMore: boolean }> {
  const retryable = retryableFilters(filters);
  if (retryable === null) return { count: 0, isMore: false };
  const { found } = await queryRow(
    db,
    `SELECT count(*)::integer AS found
     FROM (
       SELECT
       FROM ${RETRYABLE}
       WHERE ${MATCHES_FILTERS}
       LIMIT ${MAX_TOTAL + 1}
     ) matching`,
    filterParams(viewer, retryable),
    z.object({ found: z.number() }),
  );
  return { count: Math.min(found, MAX_TOTAL), isMore: found > MAX_TOTAL };
}

/** Call in a transaction: of one person's calls at the same time, one after the other counts what is running. */
export async function createBulkRetry(
  db: Db,
  viewer: EventViewer,
  filters: EventFilters,
): Promise<BulkRetry | 'too_many_running' | 'nothing_matches'> {
  await execute(db, `SELECT pg_advisory_xact_lock(hashtextextended('bulk_retries:' || $1, 0))`, [
    viewer.userId,
  ]);
  const { running } = await queryRow(
    db,
    `SELECT count(*)::integer AS running FROM bulk_retries WHERE user_id = $1 AND status = 'running'`,
    [viewer.userId],
    z.object({ running: z.number() }),
  );
  if (running >= MAX_RUNNING) return 'too_many_running';
  const retryable = retryableFilters(filters);
  return (retryable && (await insertBulkRetry(db, viewer, retryable))) ?? 'nothing_matches';
}

/** Null when nothing matches. */
function insertBulkRetry(db: Db, viewer: EventViewer, filters: EventFilters): Promise<BulkRetry | null> {
  return queryOptionalRow(
    db,
    `WITH matching AS (
       SELECT event.id
       FROM ${RETRYABLE}
       WHERE ${MATCHES_FILTERS}
       ORDER BY event.id
       LIMIT ${MAX_TOTAL}
     )
     INSERT INTO bulk_retries AS job (user_id, is_operator_scope, filters, total, last_event_id)
     SELECT $1, $2, $9, count(*), max(id)
     FROM matching
     HAVING count(*) > 0
     RETURNING ${COLUMNS}`,
    [...filterParams(viewer, filters), filters],
    BulkRetrySchema,
  );
}

/** Newest first. */
export function listBulkRetries(db: Db, userId: string, limit: number): Promise<BulkRetry[]> {
  return queryRows(
    db,
    `SELECT ${COLUMNS}
     FROM bulk_retries job
     WHERE job.user_id = $1
     ORDER BY job.id DESC
     LIMIT $2`,
    [userId, limit],
    BulkRetrySchema,
  );
}

/** Null when it does not exist or is somebody else's. */
export function findBulkRetry(db: Db, userId: string, id: string): Promise<BulkRetry | null> {
  return queryOptionalRow(
    db,
    `SELECT ${COLUMNS}
     FROM bulk_retries job
     WHERE job.user_id = $1 AND job.id = $2`,
    [userId, id],
    BulkRetrySchema,
  );
}

/**
 * Waits for a step in progress; when this has returned, nothing more is queued.
 * @returns null when it is not running, does not exist or is somebody else's
 */
export function cancelBulkRetry(db: Db, userId: string, id: string): Promise<BulkRetry | null> {
  return queryOptionalRow(
    db,
    `UPDATE bulk_retries job
     SET status = 'cancelled', cancelled_at = now()
     WHERE job.user_id = $1 AND job.id = $2 AND job.status = 'running'
     RETURNING ${COLUMNS}`,
    [userId, id],
    BulkRetrySchema,
  );
}

/**
 * Locks the running bulk retry that has waited longest for its next step, until the end of the transaction; one that is
 * locked by another process is passed over.
 * @returns null as well while `maxDue` events of anybody are due: what is fresh goes first
 */
export function claimBulkRetry(db: Db, maxDue: number): Promise<ClaimedBulkRetry | null> {
  return queryOptionalRow(
    db,
    `SELECT ${COLUMNS}, job.user_id AS "userId", job.is_operator_scope AND person.role = 'operator' AS "isOperator",
            job.cursor_event_id AS "cursorEventId", job.last_event_id AS "lastEventId"
     FROM bulk_retries job
     JOIN users person ON person.id = job.user_id
     WHERE job.status = 'running'
       AND $1 > (
         SELECT count(*)
         FROM (
           SELECT
           FROM webhook_queue
           WHERE status IN ('pending', 'failed') AND due_at <= now()
           LIMIT $1
         ) due
       )
     ORDER BY job.last_step_at NULLS FIRST, job.id
     LIMIT 1
     FOR UPDATE OF job SKIP LOCKED`,
    [maxDue],
    ClaimedSchema,
  );
}

/** One walk along the queue's index; the parameters are those of queueNextEvents. */
function nextOf(status: string, owner: string): string {
  return `(
           SELECT event_id
           FROM webhook_queue
           WHERE status = '${status}' AND ${owner} AND event_id > $9 AND event_id <= $10
           ORDER BY event_id
           LIMIT ${SCAN_LIMIT}
         )`;
}

const StepSchema = z.object({
  queued: z.number(),
  /** Null when nothing was left to look at. */
  cursorEventId: z.string().nullable(),
  isLast: z.boolean(),
});

/**
 * Gives the next events after the cursor a fresh budget of attempts, `limit` at most, as a single retry does, and takes
 * them out of the hourly counts. Passed over is what was tried since the creation, and what somebody else has locked:
 * that is being processed, retried or deleted. Only under the lock of `claimBulkRetry`.
 */
export function queueNextEvents(
  db: Db,
  job: ClaimedBulkRetry,
  limit: number,
): Promise<z.infer<typeof StepSchema>> {
  return queryRow(
    db,
    `WITH scanned AS MATERIALIZED (
       SELECT event_id AS id
       FROM (
         ${['failed', 'dead_letter']
           .flatMap((status) => [nextOf(status, 'user_id = $1'), nextOf(status, 'user_id IS NULL AND $2')])
           .join(' UNION ALL ')}
       ) retryable
       ORDER BY event_id
       LIMIT ${SCAN_LIMIT}
     ), target AS (
       SELECT event.id, event.status, event.user_id, event.instagram_account_id, event.event_type, event.received_at
       FROM webhook_events event
       JOIN scanned ON scanned.id = event.id
       WHERE ${MATCHES_FILTERS}
         AND NOT EXISTS (
           SELECT
           FROM webhook_event_log log
           JOIN bulk_retries job ON job.id = $11
           WHERE log.event_id = event.id AND log.finished_at > job.created_at
         )
       ORDER BY event.id
       LIMIT $12
       FOR UPDATE OF event SKIP LOCKED
     ), changed AS (
       UPDATE webhook_events event
       SET ${FRESH_BUDGET}
       FROM target
       WHERE event.id = target.id AND event.status IN ('failed', 'dead_letter')
       RETURNING target.*
     ), counted AS (
       ${addCounts(`changed WHERE status = 'dead_letter'`, { deadLetter: '-1' })}
     ), step AS (
       SELECT (SELECT count(*) FROM changed)::integer AS queued,
              (SELECT count(*) FROM target) = $12 AS is_full,
              (SELECT count(*) FROM scanned) = ${SCAN_LIMIT} AS has_more
     )
     SELECT queued, (CASE WHEN is_full THEN (SELECT max(id) FROM target) ELSE (SELECT max(id) FROM scanned) END)::text AS "cursorEventId",
            NOT is_full AND NOT has_more AS "isLast"
     FROM step`,
    [
      ...filterParams({ userId: job.userId, isOperator: job.isOperator }, job.filters),
      job.cursorEventId,
      job.lastEventId,
      job.id,
      limit,
    ],
    StepSchema,
  );
}

/** Moves the cursor and counts; with `isLast` the bulk retry is finished. In the transaction of `queueNextEvents`. */
export function recordBulkRetryStep(
  db: Db,
  id: string,
  step: z.infer<typeof StepSchema>,
): Promise<BulkRetry> {
  return queryRow(
    db,
    `UPDATE bulk_retries job
     SET cursor_event_id = coalesce($2, job.cursor_event_id),
         queued = job.queued + $3,
         last_step_at = now(),
         status = CASE WHEN $4 THEN 'finished' ELSE 'running' END,
         finished_at = CASE WHEN $4 THEN now() END,
         skipped = CASE WHEN $4 THEN greatest(job.total - job.queued - $3, 0) ELSE 0 END
     WHERE job.id = $1
     RETURNING ${COLUMNS}`,
    [id, step.cursorEventId, step.queued, step.isLast],
    BulkRetrySchema,
  );
}
