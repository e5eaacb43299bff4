-- What people connected at Meta. Tokens are ciphertext bound to table, column, row and owner (utils/encryption.ts).

-- One pending visit to Meta's dialog. The state itself is signed; this row makes it single-use and ties it to the
-- browser session and person that started it.
CREATE TABLE oauth_states (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  nonce_hash bytea NOT NULL UNIQUE,
  sid_hash bytea NOT NULL,
  user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  provider text NOT NULL CHECK (provider IN ('facebook', 'instagram')),
  -- Set when an existing connection is being renewed.
  instagram_account_id bigint,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX oauth_states_user_id ON oauth_states (user_id);
CREATE INDEX oauth_states_expires_at ON oauth_states (expires_at);

-- One OAuth grant: a Facebook (or Instagram) login and the user token it gave.
CREATE TABLE meta_accounts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  provider text NOT NULL CHECK (provider IN ('facebook', 'instagram')),
  -- App-scoped id of the person; what deauthorize callbacks and debug_token name.
  meta_user_id text NOT NULL,
  name text,
  user_token text,
  token_issued_at timestamptz,
  -- NULL: does not expire.
  token_expires_at timestamptz,
  data_access_expires_at timestamptz,
  scopes text[] NOT NULL DEFAULT '{}',
  declined_scopes text[] NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'needs_reconnect', 'disconnected')),
  -- Our stable failure code (failures.ts) behind the status.
  status_code text,
  -- Grows with every new token: a late refresh cannot overwrite a newer one.
  token_version integer NOT NULL DEFAULT 1,
  refresh_lease_token uuid,
  refresh_lease_until timestamptz,
  next_refresh_at timestamptz,
  refresh_failures integer NOT NULL DEFAULT 0,
  connected_at timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (user_id, provider, meta_user_id)
);
CREATE INDEX meta_accounts_meta_user_id ON meta_accounts (meta_user_id);
CREATE INDEX meta_accounts_token_expires_at ON meta_accounts (token_expires_at) WHERE status = 'active';

-- Facebook Pages of a grant, each with its own token.
CREATE TABLE pages (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  meta_account_id bigint NOT NULL REFERENCES meta_accounts (id) ON DELETE CASCADE,
  user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  page_id text NOT NULL,
  name text NOT NULL,
  category text,
  tasks text[] NOT NULL DEFAULT '{}',
  page_token text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (meta_account_id, page_id)
);
CREATE INDEX pages_user_id ON pages (user_id);
CREATE INDEX pages_page_id ON pages (page_id);

-- The Instagram professional accounts a person connected.
CREATE TABLE instagram_accounts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  meta_account_id bigint NOT NULL REFERENCES meta_accounts (id) ON DELETE CASCADE,
  -- The Page it hangs on; none with Instagram Login.
  page_id bigint REFERENCES pages (id) ON DELETE SET NULL,
  -- 17841…: what webhooks name in entry.id.
  ig_user_id text NOT NULL,
  username text NOT NULL,
  name text,
  profile_picture_url text,
  followers_count integer,
  media_count integer,
  status text NOT NULL DEFAULT 'active'
    CHECK (status IN ('pending', 'active', 'limited', 'webhooks_down', 'needs_reconnect', 'disconnected')),
  status_code text,
  status_changed_at timestamptz NOT NULL DEFAULT now(),
  last_event_at timestamptz,
  connected_at timestamptz NOT NULL DEFAULT now(),
  disconnected_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (user_id, ig_user_id)
);
-- Its events belong to one person at a time.
CREATE UNIQUE INDEX instagram_accounts_one_owner ON instagram_accounts (ig_user_id) WHERE status <> 'disconnected';
CREATE INDEX instagram_accounts_meta_account_id ON instagram_accounts (meta_account_id);
CREATE INDEX instagram_accounts_page_id ON instagram_accounts (page_id);

-- Which webhook fields we want for an account and which Meta confirmed when asked.
CREATE TABLE webhook_subscriptions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  instagram_account_id bigint NOT NULL UNIQUE REFERENCES instagram_accounts (id) ON DELETE CASCADE,
  wanted text[] NOT NULL,
  confirmed text[] NOT NULL DEFAULT '{}',
  error_code text,
  checked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- One row per refresh attempt.
CREATE TABLE token_refresh_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  meta_account_id bigint NOT NULL REFERENCES meta_accounts (id) ON DELETE CASCADE,
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL DEFAULT now(),
  outcome text NOT NULL CHECK (outcome IN ('refreshed', 'unchanged', 'failed', 'needs_reconnect', 'superseded')),
  error_code text,
  error_message text,
  old_expires_at timestamptz,
  new_expires_at timestamptz
);
CREATE INDEX token_refresh_log_meta_account_id ON token_refresh_log (meta_account_id, id DESC);
CREATE INDEX token_refresh_log_started_at ON token_refresh_log (started_at);

ALTER TABLE oauth_states
  ADD FOREIGN KEY (instagram_account_id) REFERENCES instagram_accounts (id) ON DELETE CASCADE;
CREATE INDEX oauth_states_instagram_account_id ON oauth_states (instagram_account_id);
