-- What the webhook's address refused, and who asked it to shake hands. Anybody can send both, so both are sampled by the
-- server and kept up to a fixed size (models/webhookRejections.ts, models/webhookHandshakes.ts).

CREATE TABLE webhook_rejections (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- By the clock of the server that refused it: the database may have been away.
  received_at timestamptz NOT NULL,
  reason text NOT NULL
    CHECK (reason IN ('wrong_signature', 'missing_signature', 'malformed_signature', 'compressed', 'too_large', 'body_incomplete', 'wrong_method')),
  method text NOT NULL,
  ip text,
  user_agent text,
  content_type text,
  -- As given when it has the right form, else only its beginning.
  signature text,
  -- Only a wrong signature is noticed after the body was read. Its beginning alone when it is long; NULL again once it
  -- was stored as a delivery.
  body bytea,
  -- What came, or what Content-Length said of a body that was not read.
  body_size bigint,
  -- Of all that came, also when only the beginning is kept.
  body_sha256 bytea,
  -- Last compared with the configured secrets and still refused.
  checked_at timestamptz,
  promoted_at timestamptz,
  delivery_id bigint
);
CREATE INDEX webhook_rejections_reason ON webhook_rejections (reason, id DESC);

-- All of them, also those that were not kept.
CREATE TABLE webhook_rejection_stats (
  hour timestamptz NOT NULL,
  reason text NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (hour, reason)
);

-- GET /webhook. The token that was given is not kept.
CREATE TABLE webhook_handshakes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('ok', 'wrong_token', 'bad_challenge', 'wrong_mode', 'missing')),
  ip text,
  user_agent text,
  token_length integer,
  -- What stands around a token that is otherwise ours.
  token_wrapping text CHECK (token_wrapping IN ('spaces', 'quotes'))
);
