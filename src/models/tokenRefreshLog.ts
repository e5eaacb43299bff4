import { z } from 'zod';
import { type Db, execute, queryRows } from '../db/query';

const OutcomeSchema = z.enum(['refreshed', 'unchanged', 'failed', 'needs_reconnect', 'superseded']);
export type RefreshOutcome = z.infer<typeof OutcomeSchema>;

const COLUMNS = `id, started_at AS "startedAt", finished_at AS "finishedAt", outcome,
  error_code AS "errorCode", error_message AS "errorMessage",
  old_expires_at AS "oldExpiresAt", new_expires_at AS "newExpiresAt"`;

const RefreshAttemptSchema = z.object({
  id: z.string(),
  startedAt: z.date(),
  finishedAt: z.date(),
  outcome: OutcomeSchema,
  errorCode: z.string().nullable(),
  errorMessage: z.string().nullable(),
  oldExpiresAt: z.date().nullable(),
  newExpiresAt: z.date().nullable(),
});
export type RefreshAttempt = z.infer<typeof RefreshAttemptSchema>;

/** What a try came to. A login that was deleted meanwhile has no history to add to: then nothing is written. */
export async function recordRefreshAttempt(
  db: Db,
  attempt: {
    metaAccountId: string;
    startedAt: Date;
    outcome: RefreshOutcome;
    /** Our failure code. */
    errorCode?: string | null;
    /** Redacted developer text. */
    errorMessage?: string | null;
    oldExpiresAt: Date | null;
    newExpiresAt?: Date | null;
  },
): Promise<void> {
  await execute(
    db,
    `INSERT INTO token_refresh_log (meta_account_id, started_at, outcome, error_code, error_message,
       old_expires_at, new_expires_at)
     SELECT id, $2, $3, $4, left($5, 1000), $6, $7 FROM meta_accounts WHERE id = $1`,
    [
      attempt.metaAccountId,
      attempt.startedAt,
      attempt.outcome,
      attempt.errorCode ?? null,
      attempt.errorMessage ?? null,
      attempt.oldExpiresAt,
      attempt.newExpiresAt ?? null,
    ],
  );
}

/** The newest first. */
export function listRefreshAttempts(db: Db, metaAccountId: string, limit: number): Promise<RefreshAttempt[]> {
  return queryRows(
    db,
    `SELECT ${COLUMNS} FROM token_refresh_log WHERE meta_account_id = $1 ORDER BY id DESC LIMIT $2`,
    [metaAccountId, limit],
    RefreshAttemptSchema,
  );
}

/** A login is renewed every two months: this shows the last year of each. */
export const REFRESH_LOG_DAYS = 400;

/** @returns how many; 0 when no more are due */
export function deleteOldRefreshAttempts(db: Db, limit: number): Promise<number> {
  return execute(
    db,
    `WITH old AS (
       SELECT id
       FROM token_refresh_log
       WHERE started_at < now() - make_interval(days => ${REFRESH_LOG_DAYS})
       ORDER BY started_at
       LIMIT $1
       FOR UPDATE SKIP LOCKED
     )
     DELETE FROM token_refresh_log attempt
     USING old
     WHERE attempt.id = old.id`,
    [limit],
  );
}
