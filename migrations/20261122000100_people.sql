-- People who log in, and their browser sessions.

CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email text NOT NULL,
  -- What makes two spellings the same person; computed in one place (models/users.ts).
  email_norm text NOT NULL UNIQUE,
  password_hash text NOT NULL,
  role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'operator')),
  email_verified_at timestamptz,
  last_login_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Written by connect-pg-simple, which knows sid, sess and expire. The sid is stored as a hash, so a leaked table opens
-- no session; the generated user_id ends a deleted person's sessions and finds all of one person.
CREATE TABLE sessions (
  sid text PRIMARY KEY,
  sess json NOT NULL,
  expire timestamptz NOT NULL,
  user_id bigint GENERATED ALWAYS AS ((sess ->> 'userId')::bigint) STORED REFERENCES users (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_expire ON sessions (expire);
CREATE INDEX sessions_user_id ON sessions (user_id);

-- Shared counters of rate-limiter-flexible: several processes count together. expire is milliseconds since 1970.
CREATE TABLE rate_limits (
  key text PRIMARY KEY,
  points integer NOT NULL DEFAULT 0,
  expire bigint
);
CREATE INDEX rate_limits_expire ON rate_limits (expire);

-- Who did what: log-ins, connections, retries. Rows outlive the person they name.
CREATE TABLE audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint REFERENCES users (id) ON DELETE SET NULL,
  action text NOT NULL,
  subject_type text,
  subject_id bigint,
  details jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_user_id ON audit_log (user_id, id DESC);
