-- The operators' switch: while paused, deliveries are stored and no event is claimed. No row means that it runs.
CREATE TABLE queue_settings (
  is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
  is_paused boolean NOT NULL,
  paused_at timestamptz,
  paused_by bigint REFERENCES users (id) ON DELETE SET NULL,
  reason text
);
