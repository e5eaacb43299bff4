import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryRows } from '../db/query';

/** Most telling first. */
export const REJECTION_REASONS = [
  'wrong_signature',
  'missing_signature',
  'malformed_signature',
  'compressed',
  'too_large',
  'body_incomplete',
  'wrong_method',
] as const;
export type RejectionReason = (typeof REJECTION_REASONS)[number];

/** Of those that carry a body, which are the ones with a second chance; strangers' noise must not push them out. */
export const CHECKABLE_KEPT = 1000;
export const BODY_BYTES_KEPT_IN_ALL = 64 * 1024 * 1024;
/** Of each other reason. */
export const OTHERS_KEPT = 100;
const KEPT_FOR = `interval '30 days'`;
const STATS_KEPT_FOR = `interval '90 days'`;

export interface NewRejection {
  receivedAt: Date;
  reason: RejectionReason;
  method: string;
  ip: string | null;
  userAgent: string | null;
  contentType: string | null;
  signature: string | null;
  body: Buffer | null;
  /** Bytes, as digits. */
  bodySize: string | null;
  bodySha256: Buffer | null;
}

/** Read, well-formed, kept as a whole and not stored yet: a secret that was missing then may fit now. */
const IS_CHECKABLE = `(reason = 'wrong_signature' AND promoted_at IS NULL AND coalesce(octet_length(body) = body_size, false))`;

const COLUMNS = `id, received_at AS "receivedAt", reason, method, ip, user_agent AS "userAgent", content_type AS "contentType",
  body_size AS "bodySize", checked_at AS "checkedAt", promoted_at AS "promotedAt", ${IS_CHECKABLE} AS "isCheckable"`;
const RejectionSchema = z.object({
  id: z.string(),
  receivedAt: z.date(),
  reason: z.enum(REJECTION_REASONS),
  method: z.string(),
  ip: z.string().nullable(),
  userAgent: z.string().nullable(),
  contentType: z.string().nullable(),
  bodySize: z.coerce.number().nullable(),
  checkedAt: z.date().nullable(),
  promotedAt: z.date().nullable(),
  isCheckable: z.boolean(),
});
export type WebhookRejection = z.infer<typeof RejectionSchema>;

const RejectionDetailsSchema = RejectionSchema.extend({
  signature: z.string().nullable(),
  bodySha256: z.instanceof(Buffer).nullable(),
  deliveryId: z.string().nullable(),
  /** Of the body that is kept; null when none is. */
  keptBytes: z.number().nullable(),
  bodyStart: z.instanceof(Buffer).nullable(),
});
export type RejectionDetails = z.infer<typeof RejectionDetailsSchema>;

const CheckableSchema = z.object({
  id: z.string(),
  signature: z.string(),
  contentType: z.string().nullable(),
  body: z.instanceof(Buffer),
});
export type CheckableRejection = z.infer<typeof CheckableSchema>;

const ReasonCountSchema = z.object({ reason: z.enum(REJECTION_REASONS), count: z.coerce.number() });

/** Rows and counts in one statement: both or neither. Rows are sampled, `counts` say how many there were. */
export async function recordRejections(
  db: Db,
  rejections: NewRejection[],
  counts: { hour: Date; kind: RejectionReason; count: number }[],
): Promise<void> {
  const column = <T>(pick: (rejection: NewRejection) => T): T[] => rejections.map(pick);
  await execute(
    db,
    `WITH counted AS (
       INSERT INTO webhook_rejection_stats (hour, reason, count)
       SELECT hour, reason, count
       FROM unnest($1::timestamptz[], $2::text[], $3::bigint[]) AS noted (hour, reason, count)
       ORDER BY hour, reason -- one order for all servers: two statements must not wait for each other
       ON CONFLICT (hour, reason) DO UPDATE
       SET count = webhook_rejection_stats.count + excluded.count
     )
     INSERT INTO webhook_rejections (received_at, reason, method, ip, user_agent, content_type, signature, body, body_size, body_sha256)
     SELECT received_at, reason, method, ip, user_agent, content_type, signature, body, body_size, body_sha256
     FROM unnest($4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[], $12::bigint[], $13::bytea[])
       AS noted (received_at, reason, method, ip, user_agent, content_type, signature, body, body_size, body_sha256)`,
    [
      counts.map(({ hour }) => hour),
      counts.map(({ kind }) => kind),
      counts.map(({ count }) => count),
      column(({ receivedAt }) => receivedAt),
      column(({ reason }) => reason),
      column(({ method }) => method),
      column(({ ip }) => ip),
      column(({ userAgent }) => userAgent),
      column(({ contentType }) => contentType),
      column(({ signature }) => signature),
      column(({ body }) => body),
      column(({ bodySize }) => bodySize),
      column(({ bodySha256 }) => bodySha256),
    ],
  );
}

/** Keeps the newest ones, in number, bytes and days. Reads no body. @returns how many rows went */
export function trimRejections(db: Db): Promise<number> {
  return execute(
    db,
    `WITH ranked AS (
       SELECT id, reason, received_at,
              row_number() OVER newest AS position,
              sum(coalesce(octet_length(body), 0)) OVER newest AS bytes
       FROM webhook_rejections
       WINDOW newest AS (PARTITION BY reason ORDER BY id DESC)
     ), forgotten AS (
       DELETE FROM webhook_rejection_stats
       WHERE hour < now() - ${STATS_KEPT_FOR}
     )
     DELETE FROM webhook_rejections
     WHERE id IN (
       SELECT id
       FROM ranked
       WHERE position > CASE WHEN reason = 'wrong_signature' THEN ${CHECKABLE_KEPT} ELSE ${OTHERS_KEPT} END
          OR bytes > ${BODY_BYTES_KEPT_IN_ALL}
          OR received_at < now() - ${KEPT_FOR}
     )`,
  );
}

/** Newest first, without bodies. @param cursor only those older than the one with this id */
export function listRejections(
  db: Db,
  { reason, cursor, limit }: { reason: RejectionReason | null; cursor: string | null; limit: number },
): Promise<WebhookRejection[]> {
  return queryRows(
    db,
    `SELECT ${COLUMNS}
     FROM webhook_rejections
     WHERE ($1::text IS NULL OR reason = $1) AND ($2::bigint IS NULL OR id < $2)
     ORDER BY id DESC
     LIMIT $3`,
    [reason, cursor, limit],
    RejectionSchema,
  );
}

/** @param shownBytes how much of the body to read */
export function findRejection(db: Db, id: string, shownBytes: number): Promise<RejectionDetails | null> {
  return queryOptionalRow(
    db,
    `SELECT ${COLUMNS}, signature, body_sha256 AS "bodySha256", delivery_id AS "deliveryId", octet_length(body) AS "keptBytes",
            substring(body FROM 1 FOR $2) AS "bodyStart"
     FROM webhook_rejections
     WHERE id = $1`,
    [id, shownBytes],
    RejectionDetailsSchema,
  );
}

/** All of the last 24 hours, also those that were not kept; most frequent first. */
export function countRejections(db: Db): Promise<z.infer<typeof ReasonCountSchema>[]> {
  return queryRows(
    db,
    `SELECT reason, sum(count)::bigint AS count
     FROM webhook_rejection_stats
     WHERE hour > now() - interval '24 hours'
     GROUP BY reason
     ORDER BY count DESC, reason`,
    [],
    ReasonCountSchema,
  );
}

/** Oldest first, so that what Meta sent first is stored first. @param after only those newer than the one with this id */
export function listCheckableRejections(db: Db, after: string, limit: number): Promise<CheckableRejection[]> {
  return queryRows(
    db,
    `SELECT id, signature, content_type AS "contentType", body
     FROM webhook_rejections
     WHERE id > $1 AND ${IS_CHECKABLE}
     ORDER BY id
     LIMIT $2`,
    [after, limit],
    CheckableSchema,
  );
}

/** Keeps everybody else from checking it until the transaction ends. Null when it cannot be checked, or not any more. */
export function lockCheckableRejection(db: Db, id: string): Promise<CheckableRejection | null> {
  return queryOptionalRow(
    db,
    `SELECT id, signature, content_type AS "contentType", body
     FROM webhook_rejections
     WHERE id = $1 AND ${IS_CHECKABLE}
     FOR UPDATE`,
    [id],
    CheckableSchema,
  );
}

export async function markRejectionsChecked(db: Db, ids: string[]): Promise<void> {
  await execute(db, 'UPDATE webhook_rejections SET checked_at = now() WHERE id = ANY ($1::bigint[])', [ids]);
}

/**
 * To be called in the transaction that locked it, after its bytes were stored as a delivery, which now holds them.
 * @returns the delivery's id; null when it is gone already
 */
export async function markRejectionPromoted(db: Db, id: string): Promise<string | null> {
  const row = await queryOptionalRow(
    db,
    `UPDATE webhook_rejections rejection
     SET promoted_at = clock_timestamp(), body = NULL,
         delivery_id = (SELECT max(delivery.id)
                        FROM webhook_deliveries delivery
                        WHERE delivery.body IS NOT NULL AND delivery.received_at >= now() AND delivery.body_sha256 = rejection.body_sha256)
     WHERE rejection.id = $1
     RETURNING delivery_id AS "deliveryId"`,
    [id],
    z.object({ deliveryId: z.string().nullable() }),
  );
  return row?.deliveryId ?? null;
}
