import { z } from 'zod';
import { type Db, queryRow } from '../db/query';
import { EXPIRED_RATE_LIMIT } from './rateLimits';
import { FORGOTTEN_KEY_DAYS, type RetentionDays } from './retention';
import { REFRESH_LOG_DAYS } from './tokenRefreshLog';

/** So many rows of a kind are counted at most: each figure stays a walk of bounded length along an index. */
export const MOST_COUNTED = 100_000;

export const RETENTION_KINDS = [
  'events',
  'deliveries',
  'bodies',
  'payloads',
  'forgottenKeys',
  'sessions',
  'rateLimits',
  'refreshAttempts',
] as const;
export type RetentionKind = (typeof RETENTION_KINDS)[number];

const DueSchema = z.object({
  /** MOST_COUNTED means so many or more. */
  rows: z.number(),
  oldest: z.date().nullable(),
});
export type Due = z.infer<typeof DueSchema>;

/**
 * How many rows of a kind a run would empty or remove now, and the oldest of them.
 * @param heldDeliveries as readQueuePart() tells
 */
export function getDue(
  db: Db,
  kind: RetentionKind,
  { payloadDays, eventDays }: RetentionDays,
  heldDeliveries: readonly string[],
): Promise<Due> {
  // All parameters are used in each, so that they have types.
  return queryRow(
    db,
    `WITH before AS MATERIALIZED (
       SELECT now() - make_interval(days => $1) AS payloads, now() - make_interval(days => $2) AS events
       WHERE $3::bigint[] IS NOT NULL
     )
     SELECT count(*)::integer AS rows, min(at) AS oldest
     FROM (SELECT at FROM (${DUE[kind]}) AS candidate LIMIT ${MOST_COUNTED}) AS due`,
    [payloadDays, eventDays, heldDeliveries],
    DueSchema,
  );
}

const PAYLOAD_LIMIT = '(SELECT payloads FROM before)';
const EVENT_LIMIT = '(SELECT events FROM before)';

/** The first ones along a partial index. */
const eventsWhere = (condition: string) => `(
  SELECT received_at AS at
  FROM webhook_events
  WHERE status = 'processed' AND ${condition}
  ORDER BY received_at, id
  LIMIT ${MOST_COUNTED}
)`;

const deliveriesWhere = (condition: string) => `(
  SELECT received_at AS at
  FROM webhook_deliveries
  WHERE ${condition} AND id <> ALL ($3::bigint[])
  ORDER BY received_at, id
  LIMIT ${MOST_COUNTED}
)`;

const DUE: Readonly<Record<RetentionKind, string>> = {
  events: `
    ${eventsWhere(`payload IS NOT NULL AND received_at < ${EVENT_LIMIT}`)}
    UNION ALL
    ${eventsWhere(`payload IS NULL AND received_at < ${EVENT_LIMIT}`)}`,
  deliveries: `
    ${deliveriesWhere(`body IS NOT NULL AND received_at < ${EVENT_LIMIT}`)}
    UNION ALL
    ${deliveriesWhere(`body IS NULL AND received_at < ${EVENT_LIMIT}`)}`,
  bodies: deliveriesWhere(
    `body IS NOT NULL AND received_at < ${PAYLOAD_LIMIT} AND received_at >= ${EVENT_LIMIT}`,
  ),
  payloads: eventsWhere(
    `payload IS NOT NULL AND received_at < ${PAYLOAD_LIMIT} AND received_at >= ${EVENT_LIMIT}`,
  ),
  forgottenKeys: `
    SELECT forgotten_at AS at
    FROM webhook_forgotten_keys
    WHERE forgotten_at < now() - make_interval(days => ${FORGOTTEN_KEY_DAYS})`,
  sessions: 'SELECT expire AS at FROM sessions WHERE expire < now() ORDER BY expire',
  rateLimits: `
    SELECT to_timestamp(expire / 1000) AS at FROM rate_limits WHERE ${EXPIRED_RATE_LIMIT} ORDER BY expire`,
  refreshAttempts: `
    SELECT started_at AS at
    FROM token_refresh_log
    WHERE started_at < now() - make_interval(days => ${REFRESH_LOG_DAYS})
    ORDER BY started_at`,
};
