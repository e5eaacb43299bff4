import { isNativeError } from 'node:util/types';

/** Classes of PostgreSQL errors that mean that the server or the way to it is gone, or has no room. */
const AWAY = /^(08|53|57P|58)/;
/** And those that mean "not now": time-outs, locks, deadlocks. */
const BUSY = /^(55P03|57014|40P01|40001)/;
const AWAY_CODES = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'];
const AWAY_TEXT = /timeout|timed out|terminated|Connection ended|not queryable|pool after calling end/i;

/** True when the database cannot answer now and the same request may succeed later. */
export function isDatabaseUnavailable(error: unknown): boolean {
  return isDatabaseAway(error) || BUSY.test(sqlStateOf(error) ?? '');
}

/** True when the database cannot be reached, whatever the request: never the request's own fault. */
export function isDatabaseAway(error: unknown): boolean {
  if (!isNativeError(error)) return false;
  const { code } = error as { code?: unknown };
  // pg's own have no name of their own; a time-out at Meta is none of the database's.
  if (typeof code !== 'string') return error.name === 'Error' && AWAY_TEXT.test(error.message);
  return AWAY_CODES.includes(code) || AWAY.test(sqlStateOf(error) ?? '');
}

function sqlStateOf(error: unknown): string | null {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !AWAY_CODES.includes(code) ? code : null;
}

/** True when the statement was never tried: the database is away, or somebody else held what it needed for too long. */
export function wasNotTried(error: unknown): boolean {
  return isDatabaseAway(error) || sqlStateOf(error) === '55P03';
}

/** True when a UNIQUE constraint refused the row. */
export function isUniqueViolation(error: unknown): boolean {
  return sqlStateOf(error) === '23505';
}
