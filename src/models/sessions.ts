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
