-- The last run of each job on each machine: what /alerts and /metrics say about processes they cannot see.
CREATE TABLE job_heartbeats (
  job text NOT NULL,
  host text NOT NULL,
  started_at timestamptz NOT NULL,
  beat_at timestamptz NOT NULL,
  finished_at timestamptz,
  -- Of the last run that ended; a new start does not forget it.
  outcome text CHECK (outcome IN ('succeeded', 'failed')),
  succeeded_at timestamptz,
  summary jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (job, host)
);
