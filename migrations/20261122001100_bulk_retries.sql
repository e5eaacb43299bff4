-- Retrying many failed events as one job. A step takes some of them and moves the cursor in the same transaction, so any
-- process may make the next one.
CREATE TABLE bulk_retries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- Nobody's events too, as long as the person stays an operator.
  is_operator_scope boolean NOT NULL,
  filters jsonb NOT NULL,
  status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'cancelled', 'finished')),
  -- What matched at creation, of which last_event_id is the newest: later events are none of its business.
  total integer NOT NULL,
  last_event_id bigint NOT NULL,
  -- Events up to this one have been looked at.
  cursor_event_id bigint NOT NULL DEFAULT 0,
  queued integer NOT NULL DEFAULT 0,
  -- Matched at creation and needed no retry any more; known once it is finished.
  skipped integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_step_at timestamptz,
  finished_at timestamptz,
  cancelled_at timestamptz
);
CREATE INDEX bulk_retries_user_id ON bulk_retries (user_id, id DESC);
CREATE INDEX bulk_retries_running ON bulk_retries (last_step_at) WHERE status = 'running';
