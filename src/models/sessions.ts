import { type Db, execute } from '../db/query';

/** Writes a session that is still there; one that was ended stays ended. */
export async function updateSession(
  db: Db,
  hashedId: string,
  data: object,
  lifetimeMs: number,
): Promise<void> {
  await execute(
    db,
    `UPDATE sessions
     SET sess = $2, expire = now() + make_interval(secs => $3)
     WHERE sid = $1`,
    [hashedId, data, lifetimeMs / 1000],
  );
}

/** @returns how many; 0 when no more are due */
export function deleteExpiredSessions(db: Db, limit: number): Promise<number> {
  return execute(
    db,
    `WITH old AS (
       SELECT sid
       FROM sessions
       WHERE expire < now()
       ORDER BY expire
       LIMIT $1
       FOR UPDATE SKIP LOCKED
     )
     DELETE FROM sessions session
     USING old
     WHERE session.sid = old.sid`,
    [limit],
  );
}
