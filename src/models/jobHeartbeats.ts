import { z } from 'zod';
import { type Db, execute, queryRows } from '../db/query';

const JobRunSchema = z.object({
  job: z.string(),
  host: z.string(),
  startedAt: z.date(),
  beatAt: z.date(),
  /** It says that it runs, and has missed several beats. */
  isSilent: z.boolean(),
  /** Null while it runs. */
  finishedAt: z.date().nullable(),
  /** Of the last run that ended. */
  outcome: z.enum(['succeeded', 'failed']).nullable(),
  succeededAt: z.date().nullable(),
  summary: z.record(z.string(), z.number()),
});
export type JobRun = z.infer<typeof JobRunSchema>;

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

/** The last run of each job on each machine. */
export function listJobRuns(db: Db): Promise<JobRun[]> {
  return queryRows(
    db,
    `SELECT job, host, started_at AS "startedAt", beat_at AS "beatAt",
            finished_at IS NULL AND beat_at < now() - interval '1 minute' AS "isSilent", finished_at AS "finishedAt", outcome, succeeded_at AS "succeededAt", summary
     FROM job_heartbeats
     ORDER BY job, host`,
    [],
    JobRunSchema,
  );
}
