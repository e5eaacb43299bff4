import { type Db, execute } from '../db/query';

export interface AuditEntry {
  /** Who did it; null when Meta or a job did. */
  userId: string | null;
  /** noun.verb, as in `account.disconnected`. */
  action: string;
  subjectType?: string;
  subjectId?: string;
  /** Ids and counts, never a secret or a message's text. */
  details?: object;
}

export async function recordAudit(
  db: Db,
  { userId, action, subjectType, subjectId, details = {} }: AuditEntry,
): Promise<void> {
  await execute(
    db,
    `INSERT INTO audit_log (user_id, action, subject_type, subject_id, details)
     VALUES ($1, $2, $3, $4, $5)`,
    [userId, action, subjectType ?? null, subjectId ?? null, details],
  );
}
