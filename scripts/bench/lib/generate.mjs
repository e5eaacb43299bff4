import { addCounts } from '../../../dist/models/webhookEventStats.js';
import { hashPassword } from '../../../dist/utils/passwords.js';
import { rows } from './cluster.mjs';

/** Everyone who can log in to a generated database. */
export const PEOPLE = {
  heavy: 'heavy@bench.example',
  small: 'small@bench.example',
  operator: 'operator@bench.example',
};
export const PASSWORD = 'A long enough password for 3 people';
/** What the search is asked for: in every third text, in every hundred thousandth, and in none. */
export const WORDS = { frequent: 'thanks', rare: 'zanzibar', absent: 'quetzalcoatl' };

const CHUNK = 100_000;
const DAYS = 90;
/** Raw bodies are emptied after so many days, payloads are all kept: the larger table of the two possible ones. */
const BODY_DAYS = 30;
const HEAVY_ACCOUNTS = 40;
const SMALL_OWNERS = 300;
const OPEN_EVENTS = 200;
const STATS_SLICES = 4;

/** The tables that the events fill, whose indexes are built at the end. */
const FILLED = [
  'webhook_deliveries',
  'webhook_events',
  'webhook_event_log',
  'webhook_event_stats',
  'interactions',
];

/**
 * Fills an empty database: one owner of six tenths of the events, three hundred small ones, and some events that belong
 * to nobody; 90 days, nine kinds from frequent to rare, nearly all processed, a thousandth dead letters, the last ones open.
 * @param report told about the progress
 */
export async function generate(url, events, report) {
  await rows(url, await peopleSql());
  const indexes = await dropIndexes(url);
  for (let first = 1; first <= events; first += CHUNK) {
    const last = Math.min(events, first + CHUNK - 1);
    // Foreign keys hold by construction; checking each row would take as long as writing it.
    await rows(
      url,
      `SET session_replication_role = replica; SET synchronous_commit = off; ${chunkSql(first, last, events)}`,
    );
    report(`${last} of ${events} events`);
  }
  await rows(url, openSql());
  report('hourly counts');
  for (let slice = 0; slice < STATS_SLICES; slice++) await rows(url, statsSql(slice));
  report('indexes');
  for (const { definition } of indexes) await rows(url, `SET maintenance_work_mem = '1GB'; ${definition}`);
  report('vacuum');
  await rows(url, 'VACUUM ANALYZE');
  await rows(url, 'CHECKPOINT');
}

async function peopleSql() {
  const hash = await hashPassword(PASSWORD, 10);
  return `
    INSERT INTO users (email, email_norm, password_hash, role)
    SELECT email, email, '${hash}', role
    FROM (VALUES ('${PEOPLE.heavy}', 'user'), ('${PEOPLE.small}', 'user'), ('${PEOPLE.operator}', 'operator')) AS person (email, role);
    INSERT INTO users (email, email_norm, password_hash)
    SELECT 'owner' || n || '@bench.example', 'owner' || n || '@bench.example', '-' FROM generate_series(1, ${SMALL_OWNERS - 1}) n;
    INSERT INTO meta_accounts (user_id, provider, meta_user_id, token_issued_at, token_expires_at)
    SELECT id, 'facebook', 10150000000000000 + id, now() - interval '5 days', now() + interval '55 days'
    FROM users WHERE role = 'user';
    -- Forty accounts for the first person, one for everybody else.
    INSERT INTO instagram_accounts (user_id, meta_account_id, ig_user_id, username)
    SELECT login.user_id, login.id, 17841400000000000 + row_number() OVER (ORDER BY login.id, n), 'shop_' || row_number() OVER (ORDER BY login.id, n)
    FROM meta_accounts login
    CROSS JOIN LATERAL generate_series(1, CASE WHEN login.id = (SELECT min(id) FROM meta_accounts) THEN ${HEAVY_ACCOUNTS} ELSE 1 END) n
    ORDER BY login.id, n;`;
}

/** Indexes that are no constraint, dropped. @returns how to make them again */
async function dropIndexes(url) {
  const indexes = await rows(
    url,
    `SELECT indexname AS name, indexdef AS definition
     FROM pg_indexes
     WHERE schemaname = 'public' AND tablename = ANY ($1)
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)`,
    [FILLED],
  );
  for (const { name } of indexes) await rows(url, `DROP INDEX ${name}`);
  return indexes;
}

/** "Random" numbers from 0 to 999 that are the same in every run. */
const random = (salt) => `abs(hashint8extended(n, ${salt}) % 1000)`;

/** One chunk of finished events: `made` decides everything, the inserts only copy. */
function chunkSql(first, last, events) {
  return `
    CREATE TEMPORARY TABLE made AS
    SELECT n, received_at, kind, account_id, ig_user_id, user_id, is_dead,
           jsonb_build_object('field', kind, 'value', jsonb_build_object(
             'id', 18000000000000000 + n,
             'from', jsonb_build_object('id', 6000000000000000 + n % 50000, 'username', 'customer_' || n % 50000),
             'media', jsonb_build_object('id', 17900000000000000 + n % 20000, 'media_product_type', 'FEED'),
             'text', concat_ws(' ', 'Number', n, 'is beautiful',
                               CASE WHEN ${random(4)} < 333 THEN '${WORDS.frequent}' END,
                               CASE WHEN n % 100000 = 77 THEN '${WORDS.rare}' END,
                               'do you ship it to our town as well', md5(n::text)))) AS payload
    FROM (
      SELECT n, now() - interval '${DAYS} days' * (1 - n::float8 / ${events}) AS received_at,
             CASE WHEN ${random(1)} < 450 THEN 'comments' WHEN ${random(1)} < 750 THEN 'messages' WHEN ${random(1)} < 850 THEN 'message_reactions'
                  WHEN ${random(1)} < 940 THEN 'messaging_seen' WHEN ${random(1)} < 970 THEN 'mentions' WHEN ${random(1)} < 995 THEN 'message_echoes'
                  WHEN ${random(1)} < 999 THEN 'story_insights' WHEN n % 7 > 0 THEN 'live_comments' ELSE 'messaging_referral' END AS kind,
             CASE WHEN ${random(2)} < 600 THEN 1 + n % ${HEAVY_ACCOUNTS}
                  WHEN ${random(2)} < 970 THEN ${HEAVY_ACCOUNTS} + 1 + abs(hashint8extended(n, 3) % ${SMALL_OWNERS}) END AS wanted_account,
             ${random(5)} = 0 AS is_dead
      FROM generate_series(${first}, ${last}) n
    ) drawn
    LEFT JOIN LATERAL (
      SELECT id AS account_id, ig_user_id, user_id FROM instagram_accounts WHERE id = wanted_account
    ) account ON true
    ORDER BY n;

    INSERT INTO webhook_deliveries (received_at, body, body_sha256, signed_by, content_type, object, event_count, user_id)
    SELECT received_at, CASE WHEN received_at > now() - interval '${BODY_DAYS} days' THEN convert_to(payload::text, 'UTF8') END,
           sha256(n::text::bytea), 'meta', 'application/json', 'instagram', 1, user_id
    FROM made ORDER BY n;

    INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, finished_at, outcome, error_code)
    SELECT n, attempt, 'bench:1', received_at, received_at + interval '40 milliseconds',
           CASE WHEN NOT is_dead THEN 'processed' WHEN attempt < 4 THEN 'failed' ELSE 'dead_letter' END,
           CASE WHEN is_dead THEN 'processing_failed' END
    FROM made CROSS JOIN LATERAL generate_series(1, CASE WHEN is_dead THEN 4 ELSE 1 END) attempt
    ORDER BY n, attempt;

    INSERT INTO interactions (user_id, instagram_account_id, kind, external_id, thread_id, direction, author_id, author_username, body,
                              source_event_id, occurred_at)
    SELECT user_id, account_id, 'comment', payload -> 'value' ->> 'id', payload -> 'value' -> 'media' ->> 'id', 'in',
           payload -> 'value' -> 'from' ->> 'id', payload -> 'value' -> 'from' ->> 'username', payload -> 'value' ->> 'text', n, received_at
    FROM made
    WHERE kind IN ('comments', 'messages') AND NOT is_dead AND account_id IS NOT NULL
    ORDER BY n;

    RESET session_replication_role; -- the triggers of the events keep the queue
    INSERT INTO webhook_events (delivery_id, instagram_account_id, user_id, object, entry_id, event_type, dedupe_key, payload, status,
                                attempts, next_attempt_at, last_error, occurred_at, received_at, processed_at)
    SELECT n, account_id, user_id, 'instagram', coalesce(ig_user_id, '17841499999999999'), kind,
           'instagram:' || coalesce(ig_user_id, '17841499999999999') || ':' || n, payload,
           CASE WHEN is_dead THEN 'dead_letter' ELSE 'processed' END, CASE WHEN is_dead THEN 4 ELSE 1 END,
           received_at, CASE WHEN is_dead THEN 'processing_failed' END, received_at - interval '2 seconds', received_at,
           CASE WHEN NOT is_dead THEN received_at + interval '40 milliseconds' END
    FROM made ORDER BY n;`;
}

/** The application's own counting, in slices on connections of their own, since its rows differ by connection. */
function statsSql(slice) {
  return addCounts(`webhook_events WHERE id % ${STATS_SLICES} = ${slice}`, {
    received: '1',
    processed: `(status = 'processed')::integer`,
    deadLetter: `(status = 'dead_letter')::integer`,
    latencyMs: 'extract(epoch FROM processed_at - received_at)::float8 * 1000',
  });
}

/** A few that wait, have just failed, or have been overlooked by nobody: what a healthy queue shows at any time. */
function openSql() {
  return `
    INSERT INTO webhook_events (instagram_account_id, user_id, object, entry_id, event_type, dedupe_key, payload, status, attempts, next_attempt_at, last_error)
    SELECT account.id, account.user_id, 'instagram', account.ig_user_id, 'comments', 'open:' || n, '{"field": "comments", "value": {"text": "just in"}}',
           CASE WHEN n % 4 = 0 THEN 'failed' ELSE 'pending' END, CASE WHEN n % 4 = 0 THEN 1 ELSE 0 END,
           now() + interval '1 day', CASE WHEN n % 4 = 0 THEN 'processing_failed' END
    FROM generate_series(1, ${OPEN_EVENTS}) n
    JOIN instagram_accounts account ON account.id = 1 + n % (${HEAVY_ACCOUNTS} + 20)`;
}
