import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryRow } from '../db/query';

/** Ages in days since receipt, by the database's clock. */
export interface RetentionDays {
  /** Raw bodies and payloads go then. */
  payloadDays: number;
  /** And the rows then; at least as many. */
  eventDays: number;
}

/** Where a walk through a table stands: the time, in full precision, and id of the last row looked at. */
export interface Position {
  at: string;
  id: string;
}
export const START: Position = { at: '-infinity', id: '0' };

export interface Batch {
  /** Changed or removed. */
  rows: number;
  /** Where the next batch begins; null when nothing older than the limit is left. */
  next: Position | null;
}

/** Looks at up to `limit` rows after a position, oldest first, and does to them what is due. */
export type BatchStep = (db: Db, days: RetentionDays, after: Position, limit: number) => Promise<Batch>;

const QueuePartSchema = z.object({
  /** The last one looked at; null when there was none. */
  lastEventId: z.string().nullable(),
  /** Deliveries older than `payloadDays` that an unfinished event or a dead letter came in. */
  heldDeliveries: z.array(z.string()),
  /** Older than `eventDays`. */
  deadLetters: z.number(),
  unfinished: z.number(),
});
export type QueuePart = z.infer<typeof QueuePartSchema>;

/** Looks at up to `limit` events that are not processed, by id: what they hold back and what of them is old. */
export function readQueuePart(
  db: Db,
  { payloadDays, eventDays }: RetentionDays,
  afterEventId: string,
  limit: number,
): Promise<QueuePart> {
  return queryRow(
    db,
    `SELECT max(queue.event_id) AS "lastEventId",
            coalesce(array_agg(DISTINCT delivery.id::text) FILTER (WHERE delivery.received_at < now() - make_interval(days => $1)), '{}')
              AS "heldDeliveries",
            (count(*) FILTER (WHERE queue.status = 'dead_letter' AND event.received_at < now() - make_interval(days => $2)))::integer
              AS "deadLetters",
            (count(*) FILTER (WHERE queue.status <> 'dead_letter' AND event.received_at < now() - make_interval(days => $2)))::integer
              AS unfinished
     FROM (SELECT event_id, status FROM webhook_queue WHERE event_id > $3 ORDER BY event_id LIMIT $4) AS queue
     LEFT JOIN webhook_events event ON event.id = queue.event_id
     LEFT JOIN webhook_deliveries delivery ON delivery.id = event.delivery_id`,
    [payloadDays, eventDays, afterEventId, limit],
    QueuePartSchema,
  );
}

/*
 * The statements below skip rows that somebody holds and so never wait for one: they cannot deadlock, and any number of
 * runs share the work. What was skipped is found by the next run. A processed event of this age never becomes an open one
 * again, and a new event never belongs to an old delivery: what readQueuePart() told stays true to the end of the run.
 */

const BatchSchema = z.object({ rows: z.number(), at: z.string(), id: z.string() });

/** Rows of a webhook table that come next, along a partial index; $1 days, $2 and $3 the position, $4 how many. */
const nextOf = (table: string, condition: string) => `
  SELECT id, received_at
  FROM ${table}
  WHERE ${condition} AND received_at < now() - make_interval(days => $1) AND (received_at, id) > ($2::timestamptz, $3::bigint)
  ORDER BY received_at, id
  LIMIT $4
  FOR UPDATE SKIP LOCKED`;

const OUTCOME = `
  SELECT (SELECT count(*) FROM changed)::integer AS rows, received_at::text AS at, id
  FROM old
  ORDER BY received_at DESC, id DESC
  LIMIT 1`;

/** Forgets the raw bytes of deliveries, not their hash, but for those that are held back. */
export function emptyDeliveries(heldDeliveries: readonly string[]): BatchStep {
  return (db, { payloadDays }, after, limit) =>
    walk(
      db,
      `WITH old AS (${nextOf('webhook_deliveries', 'body IS NOT NULL')}), changed AS (
         UPDATE webhook_deliveries delivery
         SET body = NULL
         FROM old
         WHERE delivery.id = old.id AND old.id <> ALL ($5::bigint[])
         RETURNING delivery.id
       ) ${OUTCOME}`,
      [payloadDays, after.at, after.id, limit, heldDeliveries],
    );
}

/** Forgets what processed events said; what they meant stays in `interactions`. */
export const emptyEvents: BatchStep = (db, { payloadDays }, after, limit) =>
  walk(
    db,
    `WITH old AS (${nextOf('webhook_events', `payload IS NOT NULL AND status = 'processed'`)}), changed AS (
       UPDATE webhook_events event
       SET payload = NULL
       FROM old
       WHERE event.id = old.id
       RETURNING event.id
     ) ${OUTCOME}`,
    [payloadDays, after.at, after.id, limit],
  );

/**
 * Removes processed events; a trigger of the table sees to their attempts. Their keys are remembered, so that a late repeat
 * has no effect. The interactions they made stay, and the hourly counts as well.
 */
export function deleteEvents(which: 'full' | 'emptied'): BatchStep {
  const condition = `payload IS ${which === 'full' ? 'NOT NULL' : 'NULL'} AND status = 'processed'`;
  return (db, { eventDays }, after, limit) =>
    walk(
      db,
      `WITH old AS (${nextOf('webhook_events', condition)}), changed AS (
         DELETE FROM webhook_events event
         USING old
         WHERE event.id = old.id
         RETURNING event.dedupe_key
       ), forgotten AS (
         INSERT INTO webhook_forgotten_keys (dedupe_hash)
         SELECT sha256(convert_to(dedupe_key, 'UTF8'))
         FROM changed
         ON CONFLICT (dedupe_hash) DO UPDATE SET forgotten_at = now()
       ) ${OUTCOME}`,
      [eventDays, after.at, after.id, limit],
    );
}

/** Removes deliveries, but for those that are held back. Their processed events are as old as they are, and go before. */
export function deleteDeliveries(which: 'full' | 'emptied', heldDeliveries: readonly string[]): BatchStep {
  const condition = `body IS ${which === 'full' ? 'NOT NULL' : 'NULL'}`;
  return (db, { eventDays }, after, limit) =>
    walk(
      db,
      `WITH old AS (${nextOf('webhook_deliveries', condition)}), changed AS (
         DELETE FROM webhook_deliveries delivery
         USING old
         WHERE delivery.id = old.id AND old.id <> ALL ($5::bigint[])
         RETURNING delivery.id
       ) ${OUTCOME}`,
      [eventDays, after.at, after.id, limit, heldDeliveries],
    );
}

async function walk(db: Db, sql: string, params: unknown[]): Promise<Batch> {
  const last = await queryOptionalRow(db, sql, params, BatchSchema);
  return last === null ? { rows: 0, next: null } : { rows: last.rows, next: { at: last.at, id: last.id } };
}

/** After so many days no repeat comes any more: Meta gives up after one or two, at the latest after seven. */
export const FORGOTTEN_KEY_DAYS = 30;

/** @returns how many; 0 when no more are due */
export function deleteForgottenKeys(db: Db, limit: number): Promise<number> {
  return execute(
    db,
    `WITH old AS (
       SELECT dedupe_hash
       FROM webhook_forgotten_keys
       WHERE forgotten_at < now() - make_interval(days => ${FORGOTTEN_KEY_DAYS})
       LIMIT $1
       FOR UPDATE SKIP LOCKED
     )
     DELETE FROM webhook_forgotten_keys forgotten
     USING old
     WHERE forgotten.dedupe_hash = old.dedupe_hash`,
    [limit],
  );
}
