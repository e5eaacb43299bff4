-- Makes the way of an event cheap: what changes often (status, lease) stands in no index of webhook_events, so that
-- PostgreSQL updates its rows in place (HOT), and the open events have a small table of their own to be found by.

-- Checks against rows written in the same statement, or that the account already implies, cost more than they protect.
ALTER TABLE webhook_deliveries DROP CONSTRAINT webhook_deliveries_user_id_fkey;
ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_delivery_id_fkey;
ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_user_id_fkey;
ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_instagram_account_id_fkey;
ALTER TABLE webhook_event_log DROP CONSTRAINT webhook_event_log_event_id_fkey;
ALTER TABLE webhook_event_stats DROP CONSTRAINT webhook_event_stats_user_id_fkey;
ALTER TABLE webhook_event_stats DROP CONSTRAINT webhook_event_stats_instagram_account_id_fkey;
ALTER TABLE interactions DROP CONSTRAINT interactions_user_id_fkey;
ALTER TABLE interactions DROP CONSTRAINT interactions_instagram_account_id_fkey;
ALTER TABLE interactions DROP CONSTRAINT interactions_source_event_id_fkey;

-- What belongs to an account goes with it, as with a foreign key that cascades.
CREATE FUNCTION forget_deleted_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM webhook_events WHERE instagram_account_id IN (SELECT id FROM deleted);
  DELETE FROM interactions WHERE instagram_account_id IN (SELECT id FROM deleted);
  DELETE FROM webhook_event_changes WHERE instagram_account_id IN (SELECT id FROM deleted);
  DELETE FROM webhook_event_stats WHERE instagram_account_id IN (SELECT id FROM deleted);
  RETURN NULL;
END $$;
CREATE TRIGGER forget AFTER DELETE ON instagram_accounts
  REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION forget_deleted_accounts();

DROP INDEX webhook_deliveries_user_id;
DROP INDEX webhook_deliveries_received_at;
DROP INDEX webhook_events_due;
DROP INDEX webhook_events_leased;
DROP INDEX webhook_events_open;
DROP INDEX webhook_events_dead;
DROP INDEX webhook_events_delivery_id;
DROP INDEX interactions_source_event_id;

CREATE INDEX webhook_events_received_at ON webhook_events (received_at);
CREATE INDEX webhook_events_by_type ON webhook_events (user_id, event_type, id DESC);

ALTER TABLE webhook_events
  SET (fillfactor = 75),
  -- direct: the handler needs the database only. graph: Meta must be asked, which takes its time.
  ADD COLUMN lane text NOT NULL DEFAULT 'direct' CHECK (lane IN ('direct', 'graph')),
  -- open: its worker died while it worked on several at once, any of which may be to blame; from then on it runs alone.
  -- cleared: it did so and the worker lived, so that death does not count against it.
  ADD COLUMN suspicion text CHECK (suspicion IN ('open', 'cleared'));

-- Every event that is not processed. A mirror of webhook_events, kept by its triggers; the truth stands there.
CREATE TABLE webhook_queue (
  event_id bigint PRIMARY KEY,
  status text NOT NULL,
  lane text NOT NULL,
  -- 0: nobody's.
  account_id bigint NOT NULL,
  user_id bigint,
  -- The next attempt; of what is being processed, the end of the lease; NULL for dead letters.
  due_at timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX webhook_queue_due ON webhook_queue (lane, account_id, due_at, event_id) WHERE status IN ('pending', 'failed');
CREATE INDEX webhook_queue_by_status ON webhook_queue (status, user_id, event_id);


CREATE FUNCTION enqueue_inserted_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO webhook_queue (event_id, status, lane, account_id, user_id, due_at)
  SELECT id, status, lane, coalesce(instagram_account_id, 0), user_id,
         CASE status WHEN 'processing' THEN lease_until WHEN 'dead_letter' THEN NULL ELSE next_attempt_at END
  FROM inserted
  WHERE status <> 'processed';
  RETURN NULL;
END $$;

CREATE FUNCTION requeue_updated_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM webhook_queue
  WHERE event_id IN (SELECT id FROM updated WHERE status = 'processed');
  INSERT INTO webhook_queue AS known (event_id, status, lane, account_id, user_id, due_at)
  SELECT id, status, lane, coalesce(instagram_account_id, 0), user_id,
         CASE status WHEN 'processing' THEN lease_until WHEN 'dead_letter' THEN NULL ELSE next_attempt_at END
  FROM updated
  WHERE status <> 'processed'
  ON CONFLICT (event_id) DO UPDATE
  SET status = excluded.status, lane = excluded.lane, account_id = excluded.account_id, user_id = excluded.user_id, due_at = excluded.due_at
  WHERE (known.status, known.lane, known.account_id, known.user_id, known.due_at)
    IS DISTINCT FROM (excluded.status, excluded.lane, excluded.account_id, excluded.user_id, excluded.due_at);
  RETURN NULL;
END $$;

-- The log goes with its events, as a foreign key would see to, one statement at a time.
CREATE FUNCTION forget_deleted_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM webhook_queue WHERE event_id IN (SELECT id FROM deleted WHERE status <> 'processed');
  DELETE FROM webhook_event_log WHERE event_id IN (SELECT id FROM deleted);
  RETURN NULL;
END $$;

CREATE FUNCTION forget_all_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE webhook_queue, webhook_event_log, webhook_event_changes RESTART IDENTITY;
  RETURN NULL;
END $$;

CREATE TRIGGER enqueue AFTER INSERT ON webhook_events
  REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION enqueue_inserted_events();
CREATE TRIGGER requeue AFTER UPDATE ON webhook_events
  REFERENCING NEW TABLE AS updated FOR EACH STATEMENT EXECUTE FUNCTION requeue_updated_events();
CREATE TRIGGER forget AFTER DELETE ON webhook_events
  REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION forget_deleted_events();
CREATE TRIGGER forget_all AFTER TRUNCATE ON webhook_events FOR EACH STATEMENT EXECUTE FUNCTION forget_all_events();

INSERT INTO webhook_queue (event_id, status, lane, account_id, user_id, due_at)
SELECT id, status, lane, coalesce(instagram_account_id, 0), user_id,
       CASE status WHEN 'processing' THEN lease_until WHEN 'dead_letter' THEN NULL ELSE next_attempt_at END
FROM webhook_events
WHERE status <> 'processed';

-- What purged events leave behind, so that a late repeat of one has no effect.
CREATE TABLE webhook_forgotten_keys (
  -- sha256 of the event's dedupe_key.
  dedupe_hash bytea PRIMARY KEY,
  forgotten_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_forgotten_keys_forgotten_at ON webhook_forgotten_keys USING brin (forgotten_at);

-- Receipts are counted too, so that what waits need not be; and how long processing took. The hour '-infinity' stands for
-- all hours: totals need not add up years.
ALTER TABLE webhook_event_stats
  ADD COLUMN received integer NOT NULL DEFAULT 0,
  -- Processed events by the time from receipt to effect; models/webhookEventStats.ts knows the borders.
  ADD COLUMN latency integer[] NOT NULL DEFAULT '{}';
UPDATE webhook_event_stats SET received = processed + dead_letter;
INSERT INTO webhook_event_stats AS known (hour, user_id, instagram_account_id, event_type, received)
SELECT date_trunc('hour', received_at, 'UTC'), user_id, instagram_account_id, event_type, count(*)
FROM webhook_events
WHERE status IN ('pending', 'processing', 'failed')
GROUP BY 1, 2, 3, 4
ON CONFLICT (user_id, hour, instagram_account_id, event_type) DO UPDATE
SET received = known.received + excluded.received;
INSERT INTO webhook_event_stats (hour, user_id, instagram_account_id, event_type, received, processed, dead_letter)
SELECT '-infinity', user_id, instagram_account_id, event_type, sum(received), sum(processed), sum(dead_letter)
FROM webhook_event_stats
GROUP BY 2, 3, 4;
CREATE INDEX webhook_event_stats_all_hours ON webhook_event_stats (user_id) WHERE hour = '-infinity';

-- What the statements that change events have to say about the counts; added to them once a second by the processor.
-- Writers only append, so none waits for another, and readers add both up.
CREATE TABLE webhook_event_changes (
  hour timestamptz NOT NULL,
  user_id bigint,
  instagram_account_id bigint,
  event_type text NOT NULL,
  received integer NOT NULL DEFAULT 0,
  processed integer NOT NULL DEFAULT 0,
  dead_letter integer NOT NULL DEFAULT 0,
  latency integer[] NOT NULL DEFAULT '{}'
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- The counts as they are.
CREATE VIEW webhook_event_counts AS
SELECT hour, user_id, instagram_account_id, event_type, sum(received)::integer AS received, sum(processed)::integer AS processed,
       sum(dead_letter)::integer AS dead_letter
FROM (
  SELECT hour, user_id, instagram_account_id, event_type, received, processed, dead_letter FROM webhook_event_stats WHERE hour > '-infinity'
  UNION ALL
  SELECT hour, user_id, instagram_account_id, event_type, received, processed, dead_letter FROM webhook_event_changes
) part
GROUP BY hour, user_id, instagram_account_id, event_type;

ALTER TABLE instagram_accounts DROP COLUMN last_event_at;
