import { isNativeError } from 'node:util/types';

/**
 * Secrets must not reach a log, a database column or a page. Keys that carry them are blanked, and strings are searched
 * for token shapes (Meta's EAA… and IG…), URL parameters and credentials, since errors and URLs quote them.
 */
const SECRET_KEY =
  /pass(word|wd)?$|secret|token$|tokens$|^authorization$|^cookie$|set-cookie|signed_request|_csrf|verify_token|appsecret_proof/i;
/** Short ones are error codes; an authorization code and a state are long. */
const MAYBE_SECRET_KEY = /^(code|state)$/i;
const SHORT = 40;

const SECRET_TEXT: readonly [RegExp, string][] = [
  [
    /\b(access_token|client_secret|input_token|fb_exchange_token|appsecret_proof|signed_request|code|state|password|hub\.verify_token|_csrf)(=|%3D|"\s*:\s*")[^&\s"'<>]+/gi,
    '$1$2[redacted]',
  ],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=|-]{8,}/g, '$1 [redacted]'],
  [/(\w+:\/\/[^\s:/@]+):[^\s@/]+@/g, '$1:[redacted]@'],
  [/\bEAA[A-Za-z0-9_-]{4,}/g, '[redacted]'],
  [/\bIG[A-Za-z0-9_-]{20,}/g, '[redacted]'],
  [/\b\d{6,20}\|[A-Za-z0-9_-]{8,}/g, '[redacted]'],
];

export function redactText(text: string): string {
  return SECRET_TEXT.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}

/** A redacted copy; the caller's value is never changed. Cycles, errors with causes and depth are handled. */
export function redact(value: unknown, depth = 0, seen = new WeakSet()): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (seen.has(value)) return '[circular]';
  if (depth > 6) return '[deep]';
  seen.add(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Buffer.isBuffer(value)) return `[buffer ${value.length}]`;
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => redact(item, depth + 1, seen));
  const fields: Record<string, unknown> = { ...value };
  if (isNativeError(value)) {
    for (const key of ['name', 'message', 'stack', 'cause'] as const)
      if (value[key] !== undefined) fields[key] = value[key];
  }
  return Object.fromEntries(
    Object.entries(fields).map(([key, field]) => [
      key,
      isSecret(key, field) ? '[redacted]' : redact(field, depth + 1, seen),
    ]),
  );
}

function isSecret(key: string, field: unknown): boolean {
  if (typeof field === 'number' || typeof field === 'boolean') return false;
  if (MAYBE_SECRET_KEY.test(key)) return typeof field !== 'string' || field.length > SHORT;
  return SECRET_KEY.test(key);
}
