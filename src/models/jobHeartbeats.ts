import { z } from 'zod';
import { type Db, execute, queryRows } from '../db/query';

const HeartbeatSchema = z.object({
  job: z.string(),
  host: z.string(),
  startedAt: z.date(),
  beatAt: z.date(),
  finishedAt: z.date().nullable(),
  outcome: z.enum(['succeeded', 'failed']).nullable(),
});
export type JobHeartbeat = z.infer<typeof HeartbeatSchema>;

export async function recordJobStart(db: Db, job: string, host: string): Promise<void> {
  await execute(
    db,
    `INSERT INTO job_heartbeats (job, host, started_at, beat_at)
     VALUES ($1, $2, now(), now())
     ON CONFLICT (job, host) DO UPDATE
     SET started_at = now(), beat_at = now(), finished_at = NULL, outcome = NULL`,
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
     SET beat_at = now(), finished_at = now(), outcome = $3, summary = $4
     WHERE job = $1 AND host = $2`,
    [job, host, outcome, summary],
  );
}

export function listJobHeartbeats(db: Db): Promise<JobHeartbeat[]> {
  return queryRows(
    db,
    `SELECT job, host, started_at AS "startedAt", beat_at AS "beatAt", finished_at AS "finishedAt", outcome
     FROM job_heartbeats
     ORDER BY job, host`,
    [],
    HeartbeatSchema,
  );
}
