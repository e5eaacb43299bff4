import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Db, queryOptionalRow, queryRow } from '../db/query';
import { type EventViewer } from './webhookEvents';
import { type ReadDelivery, type WebhookItem } from '../meta/webhookPayload';

export interface SignedBody {
  body: Buffer;
  /** Which configured secret signed it. */
  signedBy: string;
  contentType: string | null;
}

const StoredSchema = z.object({ newEvents: z.number(), repeatedEvents: z.number() });

/**
 * Stores the bytes of one POST and its events in one statement: when it returns, all of it is durable. A repeated item
 * is counted on its first event. Events are matched to the connected account they name.
 * @returns how many events were new, and how many had been stored before
 */
export async function storeDelivery(
  db: Db,
  signed: SignedBody,
  delivery: ReadDelivery,
): Promise<z.infer<typeof StoredSchema>> {
  try {
    return await insertDelivery(db, signed, delivery);
  } catch (error) {
    if (!isDataError(error)) throw error;
    // PostgreSQL refuses something in the derived form: keep the bytes, and say that they could not be read.
    const items = delivery.items.map((item) => ({ ...item, payload: null, problem: 'unparseable' }));
    return insertDelivery(db, signed, { ...delivery, items });
  }
}

/**
 * The raw bytes of the delivery an event came in. Null once retention emptied them, and null when the POST also carried
 * somebody else's events: then its bytes are nobody's to see but the operators'.
 */
export async function findDeliveryBody(
  db: Db,
  viewer: EventViewer,
  deliveryId: string,
): Promise<Buffer | null> {
  const row = await queryOptionalRow(
    db,
    'SELECT body FROM webhook_deliveries WHERE id = $3 AND (user_id = $1 OR $2)',
    [viewer.userId, viewer.isOperator, deliveryId],
    z.object({ body: z.instanceof(Buffer).nullable() }),
  );
  return row?.body ?? null;
}

function insertDelivery(
  db: Db,
  { body, signedBy, contentType }: SignedBody,
  { object, items, parseError }: ReadDelivery,
) {
  const distinct = countRepeats(items);
  const column = <T>(pick: (item: WebhookItem & { repeats: number }) => T): T[] => distinct.map(pick);
  return queryRow(
    db,
    `WITH item AS (
       SELECT item.*, coalesce(direct.id, by_page.id) AS account_id, coalesce(direct.user_id, by_page.user_id) AS user_id
       FROM unnest($8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::boolean[], $14::timestamptz[], $15::integer[], $16::text[])
         AS item (object, entry_id, event_type, dedupe_key, payload, is_test, occurred_at, repeats, problem)
       LEFT JOIN instagram_accounts direct
         ON item.object = 'instagram' AND direct.ig_user_id = item.entry_id AND direct.status <> 'disconnected'
       LEFT JOIN LATERAL (
         SELECT account.id, account.user_id
         FROM pages page
         JOIN instagram_accounts account ON account.page_id = page.id AND account.status <> 'disconnected'
         WHERE item.object = 'page' AND page.page_id = item.entry_id
         ORDER BY account.id
         LIMIT 1
       ) by_page ON true
     ), delivery AS (
       INSERT INTO webhook_deliveries (body, body_sha256, signed_by, content_type, object, event_count, parse_error, user_id)
       SELECT $1, $2, $3, $4, $5, $6, $7, CASE WHEN count(*) = count(user_id) AND min(user_id) = max(user_id) THEN min(user_id) END
       FROM item
       RETURNING id
     ), stored AS (
       INSERT INTO webhook_events (delivery_id, instagram_account_id, user_id, object, entry_id, event_type, dedupe_key,
                                   payload, is_test, occurred_at, duplicate_count, status, last_error)
       SELECT delivery.id, item.account_id, item.user_id, item.object, item.entry_id, item.event_type, item.dedupe_key,
              item.payload::jsonb, item.is_test, item.occurred_at, item.repeats,
              CASE WHEN item.problem IS NULL THEN 'pending' ELSE 'dead_letter' END, item.problem
       FROM item
       CROSS JOIN delivery
       ORDER BY item.dedupe_key COLLATE "C" -- one order for all, or two POSTs with the same items could deadlock
       ON CONFLICT (dedupe_key) DO UPDATE
       SET duplicate_count = webhook_events.duplicate_count + excluded.duplicate_count + 1
       RETURNING xmax = 0 AS is_new, status, user_id, instagram_account_id, event_type, received_at
     ), counted AS (
       INSERT INTO webhook_event_stats (hour, user_id, instagram_account_id, event_type, dead_letter)
       SELECT date_trunc('hour', received_at, 'UTC'), user_id, instagram_account_id, event_type, count(*)
       FROM stored
       WHERE is_new AND status = 'dead_letter'
       GROUP BY 1, 2, 3, 4
       ORDER BY 2, 1, 3, 4
       ON CONFLICT (user_id, hour, instagram_account_id, event_type) DO UPDATE
       SET dead_letter = webhook_event_stats.dead_letter + excluded.dead_letter
     )
     SELECT (count(*) FILTER (WHERE is_new))::integer AS "newEvents", (count(*) FILTER (WHERE NOT is_new))::integer AS "repeatedEvents"
     FROM stored`,
    [
      body,
      createHash('sha256').update(body).digest(),
      signedBy,
      contentType,
      object,
      items.length,
      parseError,
      column((item) => item.object),
      column((item) => item.entryId),
      column((item) => item.eventType),
      column((item) => item.dedupeKey),
      column((item) => item.payload),
      column((item) => item.isTest),
      column((item) => item.occurredAt),
      column((item) => item.repeats),
      column((item) => item.problem),
    ],
    StoredSchema,
  );
}

/** One statement may touch a row once: repeats within the POST are counted here. */
function countRepeats(items: WebhookItem[]): (WebhookItem & { repeats: number })[] {
  const byKey = new Map<string, WebhookItem & { repeats: number }>();
  for (const item of items) {
    const first = byKey.get(item.dedupeKey);
    if (first === undefined) byKey.set(item.dedupeKey, { ...item, repeats: 0 });
    else first.repeats++;
  }
  return [...byKey.values()];
}

/** Class 22 (the value) and 54 (too deep): the same statement would fail for ever. */
function isDataError(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^(22|54)/.test(code);
}
