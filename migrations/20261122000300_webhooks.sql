-- Everything Meta notified, from the raw bytes to what it means.

-- One signed POST, byte for byte. Rows outlive their body: retention empties it first.
CREATE TABLE webhook_deliveries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  received_at timestamptz NOT NULL DEFAULT now(),
  body bytea,
  body_sha256 bytea NOT NULL,
  -- Which configured secret signed it: meta, meta-2, instagram …
  signed_by text NOT NULL,
  content_type text,
  object text,
  -- Items in it, repeats included.
  event_count integer NOT NULL,
  -- Whose it is, when all its items are one person's: only then may that person see the bytes.
  user_id bigint REFERENCES users (id) ON DELETE SET NULL,
  -- Why nothing could be read from a correctly signed body.
  parse_error text
);
CREATE INDEX webhook_deliveries_received_at ON webhook_deliveries (received_at);
CREATE INDEX webhook_deliveries_user_id ON webhook_deliveries (user_id);

-- One item of a delivery, and its way through the queue.
CREATE TABLE webhook_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  delivery_id bigint REFERENCES webhook_deliveries (id) ON DELETE SET NULL,
  instagram_account_id bigint REFERENCES instagram_accounts (id) ON DELETE CASCADE,
  -- The account's owner, repeated here so that a person's list is one index walk.
  user_id bigint REFERENCES users (id) ON DELETE CASCADE,
  -- What Meta called it: instagram, page, permissions … and the id in entry.id (NULL when unreadable).
  object text,
  entry_id text,
  event_type text NOT NULL,
  dedupe_key text NOT NULL UNIQUE,
  -- Derived from the raw bytes; NULL when jsonb cannot hold it.
  payload jsonb,
  is_test boolean NOT NULL DEFAULT false,
  status text NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'processing', 'processed', 'failed', 'dead_letter')),
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  lease_token uuid,
  lease_until timestamptz,
  locked_by text,
  -- Set while a handler runs: tells a claimed event from a started one when a worker dies.
  attempt_started_at timestamptz,
  last_error text,
  duplicate_count integer NOT NULL DEFAULT 0,
  -- Meta's own time of the event; may be missing.
  occurred_at timestamptz,
  received_at timestamptz NOT NULL DEFAULT now(),
  processed_at timestamptz
);
CREATE INDEX webhook_events_due ON webhook_events (next_attempt_at, id) WHERE status IN ('pending', 'failed');
CREATE INDEX webhook_events_leased ON webhook_events (lease_until) WHERE status = 'processing';
CREATE INDEX webhook_events_open ON webhook_events (user_id, status) WHERE status IN ('pending', 'processing', 'failed');
CREATE INDEX webhook_events_by_user ON webhook_events (user_id, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX webhook_events_by_account ON webhook_events (instagram_account_id, id DESC) WHERE instagram_account_id IS NOT NULL;
CREATE INDEX webhook_events_unowned ON webhook_events (entry_id, received_at) WHERE instagram_account_id IS NULL;
CREATE INDEX webhook_events_of_nobody ON webhook_events (id DESC) WHERE user_id IS NULL;
CREATE INDEX webhook_events_dead ON webhook_events (user_id, id DESC) WHERE status = 'dead_letter';
CREATE INDEX webhook_events_delivery_id ON webhook_events (delivery_id);

-- One row per attempt.
CREATE TABLE webhook_event_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id bigint NOT NULL REFERENCES webhook_events (id) ON DELETE CASCADE,
  attempt integer NOT NULL,
  worker text NOT NULL,
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL DEFAULT now(),
  -- ignored: understood, and there was nothing to do (an account nobody connected, say).
  outcome text NOT NULL CHECK (outcome IN ('processed', 'ignored', 'failed', 'dead_letter', 'worker_died')),
  error_code text,
  error_message text
);
CREATE INDEX webhook_event_log_event_id ON webhook_event_log (event_id, id);

-- Finished events per hour of receipt, kept in step by the statements that finish, retry or delete an event. Open ones
-- are counted from their partial index. Nobody's events have user_id NULL.
CREATE TABLE webhook_event_stats (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hour timestamptz NOT NULL,
  user_id bigint REFERENCES users (id) ON DELETE CASCADE,
  instagram_account_id bigint REFERENCES instagram_accounts (id) ON DELETE CASCADE,
  event_type text NOT NULL,
  processed integer NOT NULL DEFAULT 0,
  dead_letter integer NOT NULL DEFAULT 0,
  UNIQUE NULLS NOT DISTINCT (user_id, hour, instagram_account_id, event_type)
);
CREATE INDEX webhook_event_stats_instagram_account_id ON webhook_event_stats (instagram_account_id);

-- What processing produces: comments, mentions, messages, reactions … as people read them. Rows do not depend on the
-- order in which their events were processed.
CREATE TABLE interactions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  instagram_account_id bigint NOT NULL REFERENCES instagram_accounts (id) ON DELETE CASCADE,
  kind text NOT NULL,
  -- Meta's id of the thing (comment id, message id …), unique per account and kind.
  external_id text NOT NULL,
  -- What it belongs to: the customer's id for messages, the media id for comments.
  thread_id text,
  -- What it answers or reacts to.
  parent_external_id text,
  direction text NOT NULL CHECK (direction IN ('in', 'out')),
  author_id text,
  author_username text,
  body text,
  attachments jsonb NOT NULL DEFAULT '[]',
  details jsonb NOT NULL DEFAULT '{}',
  edit_number integer NOT NULL DEFAULT 0,
  -- A deletion may arrive before the message: the row is then its tombstone.
  deleted_at timestamptz,
  is_test boolean NOT NULL DEFAULT false,
  source_event_id bigint REFERENCES webhook_events (id) ON DELETE SET NULL,
  occurred_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (instagram_account_id, kind, external_id)
);
CREATE INDEX interactions_user_id ON interactions (user_id, occurred_at DESC, id DESC);
CREATE INDEX interactions_source_event_id ON interactions (source_event_id);
