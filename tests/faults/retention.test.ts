import { useDatabase } from '../support/database';
import { commentItem, notification } from '../support/webhook';
import { endOf, settings, startProgram, startServer } from './support/processes';
import { Sender } from './support/sender';

const OLD_EVENTS = 20_000;
const { pool, config } = useDatabase();

/** Old, processed, each with its delivery, attempt and interaction. */
async function makeOldEvents(): Promise<void> {
  await pool.query(`
    INSERT INTO users (email, email_norm, password_hash) VALUES ('ada@example.com', 'ada@example.com', 'none');
    INSERT INTO meta_accounts (user_id, provider, meta_user_id) SELECT id, 'facebook', '1' FROM users;
    INSERT INTO instagram_accounts (user_id, meta_account_id, ig_user_id, username) SELECT user_id, id, '17841400000000001', 'bar' FROM meta_accounts`);
  await pool.query(
    `WITH delivery AS (
       INSERT INTO webhook_deliveries (received_at, body, body_sha256, signed_by, event_count)
       SELECT now() - interval '100 days' + number * interval '1 second', convert_to(repeat('x', 500), 'UTF8'), '', 'meta', 1
       FROM generate_series(1, $1) AS number
       RETURNING id, received_at
     ), event AS (
       INSERT INTO webhook_events (delivery_id, received_at, event_type, dedupe_key, payload, status, attempts)
       SELECT id, received_at, 'comments', 'old-' || id, '{"field": "comments"}', 'processed', 1
       FROM delivery
       RETURNING id, received_at
     ), attempt AS (
       INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, outcome)
       SELECT id, 1, 'test', received_at, 'processed'
       FROM event
     )
     INSERT INTO interactions (user_id, instagram_account_id, kind, external_id, direction, source_event_id, occurred_at)
     SELECT account.user_id, account.id, 'comment', 'old-' || event.id, 'in', event.id, event.received_at
     FROM event
     CROSS JOIN instagram_accounts account`,
    [OLD_EVENTS],
  );
}

it('removes 20,000 old events while deliveries arrive, and each of these is answered 200', async () => {
  await makeOldEvents();
  const env = settings(config.connectionString);
  const server = await startServer(env);
  const sender = new Sender(server.port, 8);
  const job = startProgram('jobs/retention.js', { ...env, LOG_LEVEL: 'info' });

  const answers = new Map<string, number | null>();
  while (job.isRunning) {
    const ids = Array.from({ length: 50 }, (_value, index) => `new-${answers.size + index}`);
    const bodies = ids.map(
      (id) => [id, notification('17841400000000001', { changes: [commentItem(id)] })] as const,
    );
    await sender.postAll(new Map(bodies), (id, answer) => answers.set(id, answer));
  }
  expect(await endOf(job, 10)).toMatchObject({ code: 0, stderr: '' });
  sender.close();
  server.signal('SIGTERM');
  await endOf(server, 15);

  expect(new Set(answers.values())).toEqual(new Set([200]));
  const { rows } = await pool.query<Record<string, number>>(
    `SELECT count(*)::integer AS events,
            (SELECT count(*) FROM webhook_deliveries)::integer AS deliveries,
            (SELECT count(*) FROM webhook_forgotten_keys)::integer AS keys,
            (SELECT count(*) FROM webhook_event_log)::integer AS attempts,
            (SELECT count(*) FROM interactions)::integer AS interactions
     FROM webhook_events
     WHERE status = 'pending'`,
  );
  expect(rows[0]).toEqual({
    events: answers.size,
    deliveries: answers.size,
    keys: OLD_EVENTS,
    attempts: 0,
    interactions: OLD_EVENTS,
  });
});
