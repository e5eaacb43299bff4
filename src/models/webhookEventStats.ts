import { z } from 'zod';
import { type Db, queryRow, queryRows } from '../db/query';
import { type EventViewer } from './webhookEvents';

const TotalsSchema = z.object({
  total: z.number(),
  pending: z.number(),
  processing: z.number(),
  processed: z.number(),
  failed: z.number(),
  deadLetter: z.number(),
  lastReceived: z.date().nullable(),
  /** Since when the oldest open event has been due; null when nothing is overdue. */
  dueSince: z.date().nullable(),
});
const ByTypeSchema = z.object({
  eventType: z.string(),
  processed: z.number(),
  deadLetter: z.number(),
  waiting: z.number(),
});
const HourSchema = z.object({
  hour: z.date(),
  processed: z.number(),
  failed: z.number(),
  deadLetter: z.number(),
  waiting: z.number(),
});
export type EventTotals = z.infer<typeof TotalsSchema>;
export type EventHour = z.infer<typeof HourSchema>;

export interface StatsRange {
  /** Hours of receipt; null: from the beginning, until now. */
  from: Date | null;
  to: Date | null;
  accountId: string | null;
}

/** Finished events from the hourly counts, open ones from their partial index: never a scan of the events. */
const COUNTS = `
  WITH counted AS (
    SELECT hour, event_type, instagram_account_id, processed, dead_letter, 0 AS pending, 0 AS processing, 0 AS failed
    FROM webhook_event_stats
    WHERE (user_id = $1 OR ($2 AND user_id IS NULL))
    UNION ALL
    SELECT date_trunc('hour', received_at, 'UTC'), event_type, instagram_account_id, 0, 0,
           (status = 'pending')::integer, (status = 'processing')::integer, (status = 'failed')::integer
    FROM webhook_events
    WHERE status IN ('pending', 'processing', 'failed') AND (user_id = $1 OR ($2 AND user_id IS NULL))
  ), selected AS (
    SELECT *
    FROM counted
    WHERE ($3::timestamptz IS NULL OR hour >= date_trunc('hour', $3::timestamptz, 'UTC'))
      AND ($4::timestamptz IS NULL OR hour < $4)
      AND ($5::bigint IS NULL OR instagram_account_id = $5)
  )`;

export function getEventTotals(db: Db, viewer: EventViewer, range: StatsRange): Promise<EventTotals> {
  return queryRow(
    db,
    `${COUNTS}
     SELECT coalesce(sum(processed + dead_letter + pending + processing + failed), 0)::integer AS total,
            coalesce(sum(pending), 0)::integer AS pending,
            coalesce(sum(processing), 0)::integer AS processing,
            coalesce(sum(processed), 0)::integer AS processed,
            coalesce(sum(failed), 0)::integer AS failed,
            coalesce(sum(dead_letter), 0)::integer AS "deadLetter",
            (SELECT received_at
             FROM webhook_events
             WHERE (user_id = $1 OR ($2 AND user_id IS NULL)) AND ($5::bigint IS NULL OR instagram_account_id = $5)
             ORDER BY id DESC
             LIMIT 1) AS "lastReceived",
            (SELECT min(next_attempt_at)
             FROM webhook_events
             WHERE status IN ('pending', 'failed') AND next_attempt_at <= now()
               AND (user_id = $1 OR ($2 AND user_id IS NULL))) AS "dueSince"
     FROM selected`,
    params(viewer, range),
    TotalsSchema,
  );
}

/** Most frequent first. */
export function listCountsByType(
  db: Db,
  viewer: EventViewer,
  range: StatsRange,
): Promise<z.infer<typeof ByTypeSchema>[]> {
  return queryRows(
    db,
    `${COUNTS}
     SELECT event_type AS "eventType", sum(processed)::integer AS processed, sum(dead_letter)::integer AS "deadLetter",
            sum(pending + processing + failed)::integer AS waiting
     FROM selected
     GROUP BY event_type
     HAVING sum(processed + dead_letter + pending + processing + failed) > 0
     ORDER BY sum(processed + dead_letter + pending + processing + failed) DESC, event_type`,
    params(viewer, range),
    ByTypeSchema,
  );
}

/** Oldest first; hours without events are there too, with zeros. The last 24 hours when the range has no start. */
export function listCountsByHour(db: Db, viewer: EventViewer, range: StatsRange): Promise<EventHour[]> {
  return queryRows(
    db,
    `${COUNTS}, slot AS (
       SELECT generate_series(
         date_trunc('hour', coalesce($3, coalesce($4, now()) - interval '23 hours'), 'UTC'),
         coalesce($4 - interval '1 microsecond', now()),
         interval '1 hour'
       ) AS hour
     )
     SELECT slot.hour, coalesce(sum(processed), 0)::integer AS processed, coalesce(sum(failed), 0)::integer AS failed,
            coalesce(sum(dead_letter), 0)::integer AS "deadLetter", coalesce(sum(pending + processing), 0)::integer AS waiting
     FROM slot
     LEFT JOIN selected ON selected.hour = slot.hour
     GROUP BY slot.hour
     ORDER BY slot.hour`,
    params(viewer, range),
    HourSchema,
  );
}

/** Events of the last 24 hours per account, 24 numbers each, oldest first; accounts without events are missing. */
export async function listSparklines(db: Db, userId: string): Promise<Map<string, number[]>> {
  const rows = await queryRows(
    db,
    `${COUNTS}
     SELECT instagram_account_id AS "accountId", (extract(epoch FROM date_trunc('hour', now(), 'UTC') - hour) / 3600)::integer AS "hoursAgo",
            sum(processed + dead_letter + pending + processing + failed)::integer AS count
     FROM selected
     WHERE instagram_account_id IS NOT NULL AND hour > now() - interval '24 hours'
     GROUP BY instagram_account_id, hour`,
    params({ userId, isOperator: false }, { from: null, to: null, accountId: null }),
    z.object({ accountId: z.string(), hoursAgo: z.number(), count: z.number() }),
  );
  const lines = new Map<string, number[]>();
  for (const { accountId, hoursAgo, count } of rows) {
    const line = lines.get(accountId) ?? Array.from({ length: 24 }, () => 0);
    line[23 - hoursAgo] = count;
    lines.set(accountId, line);
  }
  return lines;
}

/** Milliseconds from stored to processed over the person's last 500 processed events; nulls without any. */
export function getLatency(db: Db, userId: string): Promise<{ p50Ms: number | null; p95Ms: number | null }> {
  return queryRow(
    db,
    `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS "p50Ms", percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) AS "p95Ms"
     FROM (
       SELECT extract(epoch FROM processed_at - received_at)::double precision * 1000 AS latency_ms
       FROM webhook_events
       WHERE user_id = $1 AND processed_at IS NOT NULL
       ORDER BY id DESC
       LIMIT 500
     ) recent`,
    [userId],
    z.object({ p50Ms: z.number().nullable(), p95Ms: z.number().nullable() }),
  );
}

function params(viewer: EventViewer, range: StatsRange): unknown[] {
  return [viewer.userId, viewer.isOperator, range.from, range.to, range.accountId];
}
