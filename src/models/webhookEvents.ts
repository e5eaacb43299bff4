import { z } from 'zod';
import { type Db, queryOptionalRow, queryRow, queryRows } from '../db/query';
import { addCounts } from './webhookEventStats';

export const EVENT_STATUSES = ['pending', 'processing', 'processed', 'failed', 'dead_letter'] as const;
export type EventStatus = (typeof EVENT_STATUSES)[number];
const RETRYABLE_STATUSES: readonly EventStatus[] = ['failed', 'dead_letter'];

/** Who is asking. Events of accounts that nobody connected are the operators'. */
export interface EventViewer {
  userId: string;
  isOperator: boolean;
}

const COLUMNS = `event.id, event.instagram_account_id AS "accountId", event.event_type AS "eventType", event.status, event.attempts,
  event.last_error AS "lastError", event.next_attempt_at AS "nextAttemptAt", event.occurred_at AS "occurredAt", event.received_at AS "receivedAt",
  event.processed_at AS "processedAt", event.duplicate_count AS "duplicateCount"`;
const EventSchema = z.object({
  id: z.string(),
  accountId: z.string().nullable(),
  eventType: z.string(),
  status: z.enum(EVENT_STATUSES),
  attempts: z.number(),
  lastError: z.string().nullable(),
  nextAttemptAt: z.date(),
  occurredAt: z.date().nullable(),
  receivedAt: z.date(),
  processedAt: z.date().nullable(),
  duplicateCount: z.number(),
});
export type WebhookEvent = z.infer<typeof EventSchema>;

const ListedEventSchema = EventSchema.extend({
  username: z.string().nullable(),
  payload: z.unknown(),
  igUserId: z.string().nullable(),
});
export type ListedEvent = z.infer<typeof ListedEventSchema>;

/**
 * Whether the payload is there, was removed after its time, or could never be read. What is unreadable is never
 * processed, and nothing but a processed event loses its payload to time.
 */
export function payloadStateOf({
  status,
  payload,
}: Pick<ListedEvent, 'status' | 'payload'>): 'kept' | 'expired' | 'unreadable' {
  if (payload !== null) return 'kept';
  return status === 'processed' ? 'expired' : 'unreadable';
}

const EventDetailsSchema = ListedEventSchema.extend({
  deliveryId: z.string().nullable(),
  object: z.string().nullable(),
  entryId: z.string().nullable(),
  dedupeKey: z.string(),
  isTest: z.boolean(),
});
export type EventDetails = z.infer<typeof EventDetailsSchema>;

const AttemptSchema = z.object({
  attempt: z.number(),
  worker: z.string(),
  startedAt: z.date(),
  finishedAt: z.date(),
  outcome: z.string(),
  errorCode: z.string().nullable(),
  errorMessage: z.string().nullable(),
});
export type EventAttempt = z.infer<typeof AttemptSchema>;

/** Empty lists and nulls do not filter. */
export interface EventFilters {
  status: EventStatus[];
  eventType: string[];
  /** Ids, and `none` for events of accounts that nobody connected. */
  accountId: string[];
  from: Date | null;
  to: Date | null;
  /** Found anywhere in the payload, upper and lower case alike. */
  q: string | null;
}

export interface EventPage {
  /** Only events older than this one (its id). */
  cursor: string | null;
  offset: number;
  limit: number;
}

const VISIBLE = '(event.user_id = $1 OR ($2 AND event.user_id IS NULL))';

/** Of `event`; the values are $1 to $8, from `filterParams`. */
const MATCHES = `($3::text[] IS NULL OR event.status = ANY ($3))
       AND ($4::text[] IS NULL OR event.event_type = ANY ($4))
       AND ($5::text[] IS NULL OR coalesce(event.instagram_account_id::text, 'none') = ANY ($5))
       AND ($6::timestamptz IS NULL OR event.received_at >= $6)
       AND ($7::timestamptz IS NULL OR event.received_at < $7)
       AND ($8::text IS NULL OR event.payload::text ILIKE $8)`;
export const MATCHES_FILTERS = `${VISIBLE} AND ${MATCHES}`;

export function filterParams(viewer: EventViewer, filters: EventFilters): unknown[] {
  return [
    viewer.userId,
    viewer.isOperator,
    orNull(filters.status),
    orNull(filters.eventType),
    orNull(filters.accountId),
    filters.from,
    filters.to,
    filters.q === null ? null : `%${filters.q.replace(/[\\%_]/g, '\\$&')}%`,
  ];
}

/** The same filters over what can be retried; null when they leave nothing of it. */
export function retryableFilters(filters: EventFilters): EventFilters | null {
  const wanted = filters.status.length === 0 ? EVENT_STATUSES : filters.status;
  const status = RETRYABLE_STATUSES.filter((retryable) => wanted.includes(retryable));
  return status.length === 0 ? null : { ...filters, status };
}

/**
 * Newest received first. Each kind of owner and each open status is a walk of its own along an index, cut at the page's
 * end; then they are merged.
 */
export function listEvents(
  db: Db,
  viewer: EventViewer,
  filters: EventFilters,
  page: EventPage,
): Promise<ListedEvent[]> {
  const owners = ['user_id = $1', ...(viewer.isOperator ? ['user_id IS NULL AND $2::boolean'] : [])];
  const walks = owners.flatMap((owner) =>
    isOpenOnly(filters)
      ? filters.status.map((status) =>
          walk(`queued.${owner} AND queued.status = '${status}'`, 'queued.event_id'),
        )
      : [walk(`event.${owner}`, 'event.id')],
  );
  return queryRows(
    db,
    `SELECT ${COLUMNS}, event.payload, account.username, account.ig_user_id AS "igUserId"
     FROM (${walks.join(' UNION ALL ')}) found
     JOIN webhook_events event ON event.id = found.id
     LEFT JOIN instagram_accounts account ON account.id = event.instagram_account_id
     WHERE $2::boolean IS NOT NULL -- used by operators alone; its type must be known all the same
     ORDER BY event.id DESC
     LIMIT $10 OFFSET $11`,
    [...filterParams(viewer, filters), page.cursor, page.limit, page.offset],
    ListedEventSchema,
  );
}

/** The first of one owner's events, along `order`; the statuses are checked words, never the reader's. */
function walk(where: string, order: string): string {
  const from = order.startsWith('queued')
    ? 'webhook_queue queued JOIN webhook_events event ON event.id = queued.event_id'
    : 'webhook_events event';
  return `(
       SELECT event.id
       FROM ${from}
       WHERE ${where} AND ${MATCHES} AND ($9::bigint IS NULL OR ${order} < $9)
       ORDER BY ${order} DESC
       LIMIT $10::bigint + $11::bigint
     )`;
}

/** Only what the queue knows: everything but processed. */
function isOpenOnly({ status }: EventFilters): boolean {
  return status.length > 0 && !status.includes('processed');
}

/** Null when it does not exist or is somebody else's. */
export function findEvent(db: Db, viewer: EventViewer, id: string): Promise<EventDetails | null> {
  return queryOptionalRow(
    db,
    `SELECT ${COLUMNS}, event.payload, account.username, account.ig_user_id AS "igUserId", event.delivery_id AS "deliveryId", event.object,
            event.entry_id AS "entryId", event.dedupe_key AS "dedupeKey", event.is_test AS "isTest"
     FROM webhook_events event
     LEFT JOIN instagram_accounts account ON account.id = event.instagram_account_id
     WHERE ${VISIBLE} AND event.id = $3`,
    [viewer.userId, viewer.isOperator, id],
    EventDetailsSchema,
  );
}

/** Oldest first. The event must be known to be the viewer's. */
export function listAttempts(db: Db, eventId: string): Promise<EventAttempt[]> {
  return queryRows(
    db,
    `SELECT attempt, worker, started_at AS "startedAt", finished_at AS "finishedAt", outcome, error_code AS "errorCode", error_message AS "errorMessage"
     FROM webhook_event_log
     WHERE event_id = $1
     ORDER BY id`,
    [eventId],
    AttemptSchema,
  );
}

/** What a retry sets, whoever asks for it: a fresh budget of attempts, now. */
export const FRESH_BUDGET = `status = 'pending', attempts = 0, suspicion = NULL, next_attempt_at = now(), last_error = NULL`;

export type ChangeResult = 'done' | 'wrong_status' | 'not_found';

/** Gives a failed or dead event a fresh budget of attempts, now. Of many clicks at once one does it. */
export function retryEvent(db: Db, viewer: EventViewer, id: string): Promise<ChangeResult> {
  return changeEvent(db, viewer, id, {
    change: `
      UPDATE webhook_events event
      SET ${FRESH_BUDGET}
      FROM target
      WHERE event.id = target.id AND target.status IN ('failed', 'dead_letter')
      RETURNING target.*`,
    received: '0',
  });
}

/** Removes a finished event for good; should Meta repeat it, it stays removed. */
export function deleteEvent(db: Db, viewer: EventViewer, id: string): Promise<ChangeResult> {
  return changeEvent(db, viewer, id, {
    change: `
      DELETE FROM webhook_events event
      USING target
      WHERE event.id = target.id AND target.status IN ('processed', 'dead_letter')
      RETURNING target.*
    ), forgotten AS (
      INSERT INTO webhook_forgotten_keys (dedupe_hash)
      SELECT sha256(convert_to(dedupe_key, 'UTF8')) FROM changed
      ON CONFLICT DO NOTHING`,
    received: '-1',
  });
}

/** Takes what was finished and no longer is out of the hourly counts, in the same statement. */
async function changeEvent(
  db: Db,
  viewer: EventViewer,
  id: string,
  { change, received }: { change: string; received: string },
): Promise<ChangeResult> {
  const counts = {
    received,
    processed: `-(status = 'processed')::integer`,
    deadLetter: `-(status = 'dead_letter')::integer`,
  };
  const { found, changed } = await queryRow(
    db,
    `WITH target AS (
       SELECT event.id, event.status, event.user_id, event.instagram_account_id, event.event_type, event.received_at, event.dedupe_key
       FROM webhook_events event
       WHERE ${VISIBLE} AND event.id = $3
       FOR UPDATE
     ), changed AS (
       ${change}
     ), counted AS (
       ${addCounts('changed', counts)}
     )
     SELECT (SELECT count(*) FROM target)::integer AS found, (SELECT count(*) FROM changed)::integer AS changed`,
    [viewer.userId, viewer.isOperator, id],
    z.object({ found: z.number(), changed: z.number() }),
  );
  if (found === 0) return 'not_found';
  return changed === 1 ? 'done' : 'wrong_status';
}

function orNull<T>(values: T[]): T[] | null {
  return values.length === 0 ? null : values;
}

export interface EventOwner {
  instagramAccountId: string;
  userId: string;
  igUserId: string;
}

/**
 * Finds the owner of an event that was stored while its account was being connected and so has none.
 * @returns null when nobody has connected that account
 */
export function adoptEvent(db: Db, eventId: string): Promise<EventOwner | null> {
  return queryOptionalRow(
    db,
    `WITH adopted AS (
       UPDATE webhook_events event
       SET instagram_account_id = account.id, user_id = account.user_id
       FROM instagram_accounts account
       WHERE event.id = $1 AND event.instagram_account_id IS NULL AND event.object = 'instagram'
         AND account.ig_user_id = event.entry_id AND account.status <> 'disconnected'
       RETURNING account.id AS account_id, account.user_id AS owner_id, account.ig_user_id, event.event_type, event.received_at
     ), counted AS (
       ${addCounts(
         `(SELECT owner_id AS user_id, account_id AS instagram_account_id, event_type, received_at, 1 AS received FROM adopted
           UNION ALL SELECT NULL, NULL, event_type, received_at, -1 FROM adopted) AS change`,
         { received: 'received' },
       )}
     )
     SELECT account_id AS "instagramAccountId", owner_id AS "userId", ig_user_id AS "igUserId" FROM adopted`,
    [eventId],
    z.object({ instagramAccountId: z.string(), userId: z.string(), igUserId: z.string() }),
  );
}

/** How far back events that arrived before their account was connected still become the new owner's. */
const WAITING_WINDOW = `interval '1 hour'`;

/**
 * Gives a just connected account the events that arrived while it was being connected, and lets them be processed again.
 * @returns how many
 */
export async function matchWaitingEvents(
  db: Db,
  account: { id: string; userId: string; igUserId: string },
): Promise<number> {
  const { count } = await queryRow(
    db,
    `WITH waiting AS (
       SELECT id, status
       FROM webhook_events
       WHERE instagram_account_id IS NULL AND received_at > now() - ${WAITING_WINDOW} AND status <> 'processing'
         AND (entry_id = $3 AND object = 'instagram' OR entry_id = (
           SELECT page.page_id FROM instagram_accounts account JOIN pages page ON page.id = account.page_id WHERE account.id = $1
         ) AND object = 'page')
       FOR UPDATE
     ), matched AS (
       UPDATE webhook_events event
       SET instagram_account_id = $1, user_id = $2, processed_at = NULL,
           status = CASE WHEN waiting.status = 'dead_letter' THEN 'dead_letter' ELSE 'pending' END,
           attempts = CASE WHEN waiting.status = 'dead_letter' THEN event.attempts ELSE 0 END,
           suspicion = NULL, next_attempt_at = now()
       FROM waiting
       WHERE event.id = waiting.id
       RETURNING event.id, event.delivery_id, event.event_type, event.received_at, (waiting.status = 'processed')::integer AS was_processed,
                 (waiting.status = 'dead_letter')::integer AS is_dead
     ), readable AS (
       UPDATE webhook_deliveries delivery
       SET user_id = $2
       FROM matched
       WHERE delivery.id = matched.delivery_id AND delivery.event_count = 1
     ), counted AS (
       ${addCounts(
         `(SELECT $2::bigint AS user_id, $1::bigint AS instagram_account_id, event_type, received_at, 1 AS received, 0 AS processed, is_dead AS dead
           FROM matched
           UNION ALL SELECT NULL, NULL, event_type, received_at, -1, -was_processed, -is_dead FROM matched) AS change`,
         { received: 'received', processed: 'processed', deadLetter: 'dead' },
       )}
     )
     SELECT count(*)::integer AS count FROM matched`,
    [account.id, account.userId, account.igUserId],
    z.object({ count: z.number() }),
  );
  return count;
}

/** True for a dead letter that needs no retry: it is queued again when its connection works. */
export function waitsForOwner({ status, lastError }: Pick<WebhookEvent, 'status' | 'lastError'>): boolean {
  const [code = ''] = (lastError ?? '').split(':');
  return status === 'dead_letter' && MENDED_BY_RECONNECT.includes(code);
}

/** Why events wait as dead letters until their connection works again (src/connections/eventFailure.ts). */
const MENDED_BY_RECONNECT: readonly string[] = [
  'needs_reconnect',
  'needs_permission',
  'token_check_disagrees',
  'token_key_missing',
];

/**
 * Gives a fresh budget of attempts to the dead letters of an account that its broken connection made, now that it works.
 * @returns how many
 */
export async function requeueAfterReconnect(db: Db, accountId: string): Promise<number> {
  const { count } = await queryRow(
    db,
    `WITH waiting AS (
       SELECT event.id
       FROM instagram_accounts account
       JOIN webhook_queue queued ON queued.status = 'dead_letter' AND queued.user_id = account.user_id AND queued.account_id = account.id
       JOIN webhook_events event ON event.id = queued.event_id
       WHERE account.id = $1 AND event.status = 'dead_letter' AND split_part(event.last_error, ':', 1) = ANY ($2)
       ORDER BY event.id
       FOR UPDATE OF event SKIP LOCKED
     ), requeued AS (
       UPDATE webhook_events event
       SET ${FRESH_BUDGET}
       FROM waiting
       WHERE event.id = waiting.id AND event.status = 'dead_letter'
       RETURNING event.user_id, event.instagram_account_id, event.event_type, event.received_at
     ), counted AS (
       ${addCounts('requeued', { deadLetter: '-1' })}
     )
     SELECT count(*)::integer AS count FROM requeued`,
    [accountId, MENDED_BY_RECONNECT],
    z.object({ count: z.number() }),
  );
  return count;
}
