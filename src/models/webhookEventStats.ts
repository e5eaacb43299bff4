import { z } from 'zod';
import { type Db, queryRow, queryRows } from '../db/query';
import { type EventViewer } from './webhookEvents';

const HOUR_MS = 3_600_000;

const LONGEST_MS = 60_000;
/** Upper borders of the histogram's buckets, in milliseconds; one more bucket holds what took longer. */
export const LATENCY_BORDERS_MS = [
  5,
  10,
  25,
  50,
  100,
  250,
  500,
  1000,
  2500,
  5000,
  30_000,
  LONGEST_MS,
] as const;

/** The hour that stands for all of them, so that a total need not add up years. */
const ALL_HOURS = `'-infinity'::timestamptz`;

/**
 * The INSERT that says how the counts of the hours of receipt change, for a CTE of the statement that changes the events.
 * `changes` is what follows FROM; its rows have user_id, instagram_account_id, event_type and received_at, and each
 * expression says by how much a row changes a count. `latencyMs` is NULL where there is none to count.
 */
export function addCounts(
  changes: string,
  counts: { received?: string; processed?: string; deadLetter?: string; latencyMs?: string },
): string {
  return `
    INSERT INTO webhook_event_changes (hour, user_id, instagram_account_id, event_type, received, processed, dead_letter, latency)
    SELECT date_trunc('hour', received_at, 'UTC'), user_id, instagram_account_id, event_type,
           sum(${counts.received ?? '0'}), sum(${counts.processed ?? '0'}), sum(${counts.deadLetter ?? '0'}),
           ${counts.latencyMs === undefined ? `'{}'` : histogramOf(counts.latencyMs)}
    FROM ${changes}
    GROUP BY 1, 2, 3, 4`;
}

function histogramOf(latencyMs: string): string {
  const bucket = `width_bucket(${latencyMs}, ARRAY[${LATENCY_BORDERS_MS.join(', ')}]::double precision[])`;
  const buckets = [...LATENCY_BORDERS_MS, Infinity].map(
    (_border, index) => `count(*) FILTER (WHERE ${bucket} = ${index})`,
  );
  return `ARRAY[${buckets.join(', ')}]`;
}

const MOST_CHANGES = 20_000;
/** Any number, the same for all. */
const FOLD_LOCK = '7236401995';

/** Adds what has changed to the counts. One caller at a time does it, others leave it to that one. @returns how many changes */
export async function foldChanges(db: Db): Promise<number> {
  const { count } = await queryRow(
    db,
    `WITH taken AS (
       DELETE FROM webhook_event_changes
       WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_event_changes WHERE (SELECT pg_try_advisory_xact_lock(${FOLD_LOCK})) LIMIT ${MOST_CHANGES}))
       RETURNING *
     ), folded AS (
       INSERT INTO webhook_event_stats AS known (hour, user_id, instagram_account_id, event_type, received, processed, dead_letter, latency)
       SELECT slot.hour, user_id, instagram_account_id, event_type, sum(received), sum(processed), sum(dead_letter),
              ARRAY[${[...LATENCY_BORDERS_MS, Infinity].map((_border, index) => `coalesce(sum(latency[${index + 1}]), 0)`).join(', ')}]
       FROM taken
       CROSS JOIN LATERAL (VALUES (taken.hour), (${ALL_HOURS})) AS slot (hour)
       GROUP BY 1, 2, 3, 4
       ON CONFLICT (user_id, hour, instagram_account_id, event_type) DO UPDATE
       SET received = known.received + excluded.received,
           processed = known.processed + excluded.processed,
           dead_letter = known.dead_letter + excluded.dead_letter,
           latency = ARRAY(
             SELECT coalesce(old, 0) + coalesce(new, 0)
             FROM unnest(known.latency, excluded.latency) WITH ORDINALITY AS bucket (old, new, number)
             ORDER BY number
           )
     )
     SELECT count(*)::integer AS count FROM taken`,
    [],
    z.object({ count: z.number() }),
  );
  return count;
}

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

/** The rows of one range: its hours, or all of them. */
function hoursOf({ from, to }: StatsRange): string {
  return from === null && to === null ? `hour = ${ALL_HOURS}` : `hour > ${ALL_HOURS} AND ${IN_RANGE}`;
}

const IN_RANGE = `($3::timestamptz IS NULL OR hour >= date_trunc('hour', $3::timestamptz, 'UTC')) AND ($4::timestamptz IS NULL OR hour < $4)`;

const VISIBLE = '(user_id = $1 OR ($2 AND user_id IS NULL))';

/**
 * Receipts and ends from the counts, what is being processed or waits for its retry from the queue's index; all else waits
 * for its first attempt. Never a scan of the events. Parameters are those of paramsOf().
 */
function countsOf(range: StatsRange): string {
  return `
  counted AS (
    SELECT hour, event_type, instagram_account_id, received, processed, dead_letter, 0 AS processing, 0 AS failed
    FROM webhook_event_stats
    WHERE ${VISIBLE} AND ${hoursOf(range)} AND ($5::bigint IS NULL OR instagram_account_id = $5)
    UNION ALL
    SELECT hour, event_type, instagram_account_id, received, processed, dead_letter, 0, 0
    FROM webhook_event_changes
    WHERE ${VISIBLE} AND ${IN_RANGE} AND ($5::bigint IS NULL OR instagram_account_id = $5)
    UNION ALL
    SELECT date_trunc('hour', event.received_at, 'UTC'), event.event_type, event.instagram_account_id, 0, 0, 0,
           (queued.status = 'processing')::integer, (queued.status = 'failed')::integer
    FROM (SELECT event_id, status FROM webhook_queue WHERE status IN ('processing', 'failed') AND ${VISIBLE}) queued
    JOIN webhook_events event ON event.id = queued.event_id
    WHERE ($3::timestamptz IS NULL OR event.received_at >= date_trunc('hour', $3::timestamptz, 'UTC'))
      AND ($4::timestamptz IS NULL OR date_trunc('hour', event.received_at, 'UTC') < $4)
      AND ($5::bigint IS NULL OR event.instagram_account_id = $5)
  )`;
}

const PENDING = 'greatest(0, sum(received - processed - dead_letter - processing - failed))';
const WAITING = 'greatest(0, sum(received - processed - dead_letter))';

export function getEventTotals(db: Db, viewer: EventViewer, range: StatsRange): Promise<EventTotals> {
  return queryRow(
    db,
    `WITH ${countsOf(range)}, account AS (
       SELECT id FROM instagram_accounts WHERE user_id = $1
       UNION ALL
       SELECT 0 WHERE $2
     )
     SELECT coalesce(sum(received), 0)::integer AS total,
            coalesce(${PENDING}, 0)::integer AS pending,
            coalesce(sum(processing), 0)::integer AS processing,
            coalesce(sum(processed), 0)::integer AS processed,
            coalesce(sum(failed), 0)::integer AS failed,
            coalesce(sum(dead_letter), 0)::integer AS "deadLetter",
            (${lastReceived(range)}) AS "lastReceived",
            (SELECT min(first.due_at)
             FROM account
             CROSS JOIN (VALUES ('direct'), ('graph')) AS lane (name)
             CROSS JOIN LATERAL (
               SELECT due_at
               FROM webhook_queue
               WHERE lane = lane.name AND status IN ('pending', 'failed') AND account_id = account.id AND due_at <= now()
               ORDER BY due_at
               LIMIT 1
             ) first) AS "dueSince"
     FROM counted`,
    paramsOf(viewer, range),
    TotalsSchema,
  );
}

/** The newest of an account, of a person, of nobody: each a single step into an index. */
function lastReceived({ accountId }: StatsRange): string {
  const newest = (condition: string) =>
    `(SELECT received_at FROM webhook_events WHERE ${condition} ORDER BY id DESC LIMIT 1)`;
  return accountId === null
    ? `SELECT greatest(${newest('user_id = $1')}, ${newest('$2 AND user_id IS NULL')})`
    : `SELECT ${newest(`instagram_account_id = $5 AND ${VISIBLE}`)}`;
}

/** Most frequent first. */
export function listCountsByType(
  db: Db,
  viewer: EventViewer,
  range: StatsRange,
): Promise<z.infer<typeof ByTypeSchema>[]> {
  return queryRows(
    db,
    `WITH ${countsOf(range)}
     SELECT event_type AS "eventType", sum(processed)::integer AS processed, sum(dead_letter)::integer AS "deadLetter",
            ${WAITING}::integer AS waiting
     FROM counted
     GROUP BY event_type
     HAVING sum(received) > 0
     ORDER BY sum(received) DESC, event_type`,
    paramsOf(viewer, range),
    ByTypeSchema,
  );
}

/** Oldest first; hours without events are there too, with zeros. The last 24 hours when the range has no start. */
export function listCountsByHour(db: Db, viewer: EventViewer, range: StatsRange): Promise<EventHour[]> {
  const to = range.to ?? new Date();
  const from = range.from ?? new Date(to.getTime() - 23 * HOUR_MS);
  return queryRows(
    db,
    `WITH ${countsOf({ ...range, from })}, slot AS (
       SELECT generate_series(date_trunc('hour', $3::timestamptz, 'UTC'), coalesce($4::timestamptz - interval '1 microsecond', now()), interval '1 hour')
         AS hour
     )
     SELECT slot.hour, coalesce(sum(processed), 0)::integer AS processed, coalesce(sum(failed), 0)::integer AS failed,
            coalesce(sum(dead_letter), 0)::integer AS "deadLetter",
            coalesce(greatest(0, sum(received - processed - dead_letter - failed)), 0)::integer AS waiting
     FROM slot
     LEFT JOIN counted ON counted.hour = slot.hour
     GROUP BY slot.hour
     ORDER BY slot.hour`,
    paramsOf(viewer, { ...range, from }),
    HourSchema,
  );
}

/** Events of the last 24 hours per account, 24 numbers each, oldest first; accounts without events are missing. */
export async function listSparklines(db: Db, userId: string): Promise<Map<string, number[]>> {
  const rows = await queryRows(
    db,
    `SELECT instagram_account_id AS "accountId", (extract(epoch FROM date_trunc('hour', now(), 'UTC') - hour) / 3600)::integer AS "hoursAgo",
            sum(received)::integer AS count
     FROM webhook_event_counts
     WHERE user_id = $1 AND instagram_account_id IS NOT NULL AND hour > now() - interval '24 hours'
     GROUP BY instagram_account_id, hour`,
    [userId],
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

/** Milliseconds from stored to processed over the last 24 hours, read from the histogram; nulls without any. */
export async function getLatency(
  db: Db,
  userId: string,
): Promise<{ p50Ms: number | null; p95Ms: number | null }> {
  const buckets = await queryRows(
    db,
    `SELECT number::integer, sum(count)::integer AS count
     FROM (
       SELECT hour, user_id, latency FROM webhook_event_stats
       UNION ALL
       SELECT hour, user_id, latency FROM webhook_event_changes
     ) counted
     CROSS JOIN LATERAL unnest(latency) WITH ORDINALITY AS bucket (count, number)
     WHERE user_id = $1 AND hour > now() - interval '24 hours'
     GROUP BY number
     ORDER BY number`,
    [userId],
    z.object({ number: z.number(), count: z.number() }),
  );
  const counts = LATENCY_BORDERS_MS.map(
    (_border, index) => buckets.find(({ number }) => number === index + 1)?.count ?? 0,
  );
  const longest = buckets.find(({ number }) => number === LATENCY_BORDERS_MS.length + 1)?.count ?? 0;
  return { p50Ms: quantile([...counts, longest], 0.5), p95Ms: quantile([...counts, longest], 0.95) };
}

/** Within its bucket a value is taken to be as likely anywhere; what is beyond the last border counts as that. */
function quantile(counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let before = 0;
  for (const [index, border] of LATENCY_BORDERS_MS.entries()) {
    const count = counts[index] ?? 0;
    if (before + count >= share * total) {
      const floor = LATENCY_BORDERS_MS[index - 1] ?? 0;
      return floor + ((share * total - before) / Math.max(1, count)) * (border - floor);
    }
    before += count;
  }
  return LONGEST_MS;
}

function paramsOf(viewer: EventViewer, range: StatsRange): unknown[] {
  return [viewer.userId, viewer.isOperator, range.from, range.to, range.accountId];
}
