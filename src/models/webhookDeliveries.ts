import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryPrepared } from '../db/query';
import { type EventViewer } from './webhookEvents';
import { logger } from '../utils/logger';
import { addCounts } from './webhookEventStats';
import { type ReadDelivery, type WebhookItem } from '../meta/webhookPayload';

/** One POST whose signature was right. */
export interface SignedBody {
  /** Byte for byte. */
  body: Buffer;
  /** Which configured secret signed it. */
  signedBy: string;
  contentType: string | null;
}

export type SignedDelivery = SignedBody & ReadDelivery;

const StoredSchema = z.object({ newEvents: z.number(), deliveryIds: z.array(z.string()) });

/**
 * Stores the bytes of some POSTs and their events in one statement: when it returns, all of it is durable. Then repeated
 * items are counted on their first events; one whose event was purged is dropped. Events are matched to the connected account
 * they name.
 * @returns how many events were new
 * @throws Error when PostgreSQL refuses a value in one of them (isDataError): then none is stored
 */
export async function storeDeliveries(db: Db, deliveries: readonly SignedDelivery[]): Promise<number> {
  const { bodies, posts } = packBodies(deliveries);
  const { firsts, repeats } = countRepeats(deliveries);
  const [stored] = await queryPrepared(
    db,
    { name: 'store-deliveries', text: STORE },
    [bodies, JSON.stringify(posts), JSON.stringify([...firsts, ...repeats])],
    StoredSchema,
  );
  if (stored === undefined) throw new Error('Nothing came back from storing.');
  const { newEvents, deliveryIds } = stored;
  if (newEvents < firsts.length) {
    await execute(db, COUNT_REPEATS, [JSON.stringify(firsts), deliveryIds]).catch(
      (error: unknown) => logger.warn('repeats not counted', { error }), // what was sent is stored all the same
    );
  }
  return newEvents;
}

/**
 * The same for one POST that PostgreSQL refuses: the items it cannot hold lose their derived form, and their events say
 * so. The bytes are kept as they are.
 */
export async function storeRefusedDelivery(db: Db, delivery: SignedDelivery): Promise<number> {
  const items: WebhookItem[] = [];
  for (const item of delivery.items) {
    items.push((await isRefused(db, item)) ? { ...item, payload: null, problem: 'unparseable' } : item);
  }
  return storeDeliveries(db, [{ ...delivery, items }]);
}

/** Class 22 (the value) and 54 (too deep, too long): the same statement would fail for ever. */
export function isDataError(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^(22|54)/.test(code);
}

async function isRefused(db: Db, { payload }: WebhookItem): Promise<boolean> {
  try {
    await db.query('SELECT $1::jsonb', [payload]);
    return false;
  } catch (error) {
    if (isDataError(error)) return true;
    throw error;
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

/** One binary parameter for all bodies (an array of bytea would travel as hex text), and where each begins. */
function packBodies(deliveries: readonly SignedDelivery[]) {
  let at = 1; // as substring() counts
  const posts = deliveries.map(({ body, signedBy, contentType, object, items, parseError }, n) => {
    const row = { n, at, size: body.length, signedBy, contentType, object, events: items.length, parseError };
    at += body.length;
    return row;
  });
  const [first, second] = deliveries;
  const isOne = first !== undefined && second === undefined;
  const bodies = isOne ? first.body : Buffer.concat(deliveries.map(({ body }) => body)); // a large one comes alone
  return { bodies, posts };
}

type FirstItem = WebhookItem & { n: number; repeats: number };
/** Says only whose it is. */
type RepeatedItem = Pick<WebhookItem, 'object' | 'entryId'> & { n: number };

/** Each item once, with how often these deliveries repeat it; of the repeats only whose they are. */
function countRepeats(deliveries: readonly SignedDelivery[]): {
  firsts: FirstItem[];
  repeats: RepeatedItem[];
} {
  const byKey = new Map<string, FirstItem>();
  const repeats: RepeatedItem[] = [];
  for (const [n, { items }] of deliveries.entries()) {
    for (const item of items) {
      const first = byKey.get(item.dedupeKey);
      if (first === undefined) byKey.set(item.dedupeKey, { ...item, n, repeats: 0 });
      else {
        first.repeats++;
        repeats.push({ n, object: item.object, entryId: item.entryId });
      }
    }
  }
  return { firsts: [...byKey.values()], repeats };
}

/** $1 the bodies, one after the other; $2 and $3 JSON: see packBodies and countRepeats. */
const STORE = `
  WITH item AS (
    SELECT item.*, coalesce(direct.id, by_page.id) AS account_id, coalesce(direct.user_id, by_page.user_id) AS user_id
    FROM json_to_recordset($3)
      AS item (n integer, object text, "entryId" text, "eventType" text, lane text, "dedupeKey" text, payload text, "isTest" boolean,
               "occurredAt" timestamptz, repeats integer, problem text)
    LEFT JOIN instagram_accounts direct
      ON item.object = 'instagram' AND direct.ig_user_id = item."entryId" AND direct.status <> 'disconnected'
    LEFT JOIN LATERAL (
      SELECT account.id, account.user_id
      FROM pages page
      JOIN instagram_accounts account ON account.page_id = page.id AND account.status <> 'disconnected'
      WHERE item.object = 'page' AND page.page_id = item."entryId"
      ORDER BY account.id
      LIMIT 1
    ) by_page ON true
  ), post AS (
    SELECT post.*, nextval('webhook_deliveries_id_seq') AS id
    FROM json_to_recordset($2)
      AS post (n integer, at integer, size integer, "signedBy" text, "contentType" text, object text, events integer, "parseError" text)
  ), delivery AS (
    INSERT INTO webhook_deliveries (id, body, body_sha256, signed_by, content_type, object, event_count, parse_error, user_id)
    OVERRIDING SYSTEM VALUE
    SELECT post.id, bytes.body, sha256(bytes.body), post."signedBy", post."contentType", post.object, post.events, post."parseError", owner.user_id
    FROM post
    CROSS JOIN LATERAL (SELECT substring($1::bytea FROM post.at FOR post.size) AS body) bytes
    LEFT JOIN (
      SELECT n, CASE WHEN count(*) = count(user_id) AND min(user_id) = max(user_id) THEN min(user_id) END AS user_id
      FROM item
      GROUP BY n
    ) owner ON owner.n = post.n
  ), stored AS (
    INSERT INTO webhook_events (delivery_id, instagram_account_id, user_id, object, entry_id, event_type, lane, dedupe_key,
                                payload, is_test, occurred_at, duplicate_count, status, last_error)
    SELECT post.id, item.account_id, item.user_id, item.object, item."entryId", item."eventType", item.lane, item."dedupeKey",
           item.payload::jsonb, item."isTest", item."occurredAt", item.repeats,
           CASE WHEN item.problem IS NULL THEN 'pending' ELSE 'dead_letter' END, item.problem
    FROM item
    JOIN post ON post.n = item.n
    WHERE item."dedupeKey" IS NOT NULL AND NOT EXISTS (
      SELECT FROM webhook_forgotten_keys WHERE dedupe_hash = sha256(convert_to(item."dedupeKey", 'UTF8'))
    )
    ORDER BY item."dedupeKey" COLLATE "C" -- one order for all, or two statements with the same items could deadlock
    ON CONFLICT (dedupe_key) DO NOTHING
    RETURNING status, user_id, instagram_account_id, event_type, received_at
  ), counted AS (
    ${addCounts('stored', { received: '1', deadLetter: `(status = 'dead_letter')::integer` })}
  )
  SELECT (SELECT count(*) FROM stored)::integer AS "newEvents", (SELECT array_agg(id) FROM post) AS "deliveryIds"`;

/** $1 the items as in STORE; $2 their own deliveries, whose events are not repeats. */
const COUNT_REPEATS = `
  WITH repeated AS (
    SELECT event.id, item.repeats + 1 AS more
    FROM json_to_recordset($1) AS item ("dedupeKey" text, repeats integer)
    JOIN webhook_events event ON event.dedupe_key = item."dedupeKey"
    WHERE event.delivery_id IS NULL OR event.delivery_id <> ALL ($2::bigint[])
    ORDER BY event.id -- one order for all, or two statements with the same items could deadlock
    FOR UPDATE OF event
  )
  UPDATE webhook_events event
  SET duplicate_count = event.duplicate_count + repeated.more
  FROM repeated
  WHERE event.id = repeated.id`;
