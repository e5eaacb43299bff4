import { type Db, execute } from '../db/query';

export async function recordJobStart(db: Db, job: string, host: string): Promise<void> {
  await execute(
    db,
    `INSERT INTO job_heartbeats (job, host, started_at, beat_at)
     VALUES ($1, $2, now(), now())
     ON CONFLICT (job, host) DO UPDATE
     SET started_at = now(), beat_at = now(), finished_at = NULL`,
    [job, host],
  );
}

export async function recordJobBeat(db: Db, job: string, host: string): Promise<void> {
  await execute(db, 'UPDATE job_heartbeats SET beat_at = now() WHERE job = $1 AND host = $2', [job, host]);
}

export async function recordJobEnd(
  db: Db,
  job: string,
  host: string,
  outcome: 'succeeded' | 'failed',
  summary: object,
): Promise<void> {
  await execute(
    db,
    `UPDATE job_heartbeats
     SET beat_at = now(), finished_at = now(), outcome = $3, summary = $4,
         succeeded_at = CASE WHEN $3 = 'succeeded' THEN now() ELSE succeeded_at END
     WHERE job = $1 AND host = $2`,
    [job, host, outcome, summary],
  );
}
