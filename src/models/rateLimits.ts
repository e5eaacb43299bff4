import { type Db, execute } from '../db/query';

/** Counters whose time is over; the limiter itself only overwrites them. */
export const EXPIRED_RATE_LIMIT = 'expire < extract(epoch FROM now()) * 1000';

/** @returns how many; 0 when no more are due */
export function deleteExpiredRateLimits(db: Db, limit: number): Promise<number> {
  return execute(
    db,
    `WITH old AS (
       SELECT key
       FROM rate_limits
       WHERE ${EXPIRED_RATE_LIMIT}
       ORDER BY expire
       LIMIT $1
       FOR UPDATE SKIP LOCKED
     )
     DELETE FROM rate_limits counter
     USING old
     WHERE counter.key = old.key`,
    [limit],
  );
}
