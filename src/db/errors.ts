/** Classes of PostgreSQL errors that mean "not now": connection, resources, shutdown, time-outs, locks. */
const UNAVAILABLE = /^(08|53|57P|58|55P03|57014|40P01|40001)/;
const UNAVAILABLE_TEXT =
  /timeout|timed out|terminated|Connection ended|not queryable|pool after calling end/i;

/** True when the database cannot answer now and the same request may succeed later. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return UNAVAILABLE.test(code);
  if (typeof code === 'string')
    return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'].includes(code);
  return UNAVAILABLE_TEXT.test(error.message);
}

/** True when a UNIQUE constraint refused the row. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === '23505';
}
