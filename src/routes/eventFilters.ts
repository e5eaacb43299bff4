import { type Request } from 'express';
import { z } from 'zod';
import { BadRequestError } from '../errors';
import { EVENT_STATUSES, type EventFilters, type EventPage } from '../models/webhookEvents';

/** Ids are PostgreSQL bigints; longer digits name nothing. */
export const ID_PATTERN = /^\d{1,18}$/;
const MAX_LIMIT = 100;
const MAX_OFFSET = 10_000;
const LONGEST_RANGE_MS = 366 * 86_400_000;

/** `?status=a&status=b`, `?status=a,b` and a single value mean the same. */
const many = <T extends z.ZodType<string>>(item: T) =>
  z.preprocess(
    (value) =>
      (Array.isArray(value) ? value : [value])
        .flatMap((part: unknown) => (typeof part === 'string' ? part.split(',') : [part]))
        .filter((part) => part !== undefined && part !== ''),
    z.array(item).max(50),
  );
const id = z.string().regex(ID_PATTERN, 'must be an id');
const idOrNone = z.string().regex(/^(\d{1,18}|none)$/, 'must be an id, or none');
const emptyAsAbsent = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === '' || value === null ? undefined : value), schema.optional());

/** Times without a zone are UTC, as everywhere in the API. */
const instant = z.string().transform((value, context) => {
  const withTime = /^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00` : value;
  const isIso = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?$/.test(withTime);
  const date = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(withTime) ? withTime : `${withTime}Z`);
  if (isIso && !Number.isNaN(date.getTime())) return date;
  context.addIssue('must be a time like 2026-11-18T11:06:40Z');
  return z.NEVER;
});

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,12}$/, 'must be a whole number')
    .transform(Number)
    .refine((number) => number >= min, `must be at least ${min}`)
    .transform((number) => Math.min(number, max));

const FiltersSchema = z.object({
  status: many(z.enum(EVENT_STATUSES, `must be one of ${EVENT_STATUSES.join(', ')}`)),
  eventType: many(z.string().regex(/^\w{1,60}$/, 'must be an event type')),
  accountId: many(idOrNone),
  from: emptyAsAbsent(instant),
  to: emptyAsAbsent(instant),
  q: emptyAsAbsent(
    z
      .string()
      .max(200, 'must have at most 200 characters')
      .refine((text) => !text.includes('\0'), 'must be text'),
  ),
});
const PageSchema = z.object({
  cursor: emptyAsAbsent(id),
  offset: emptyAsAbsent(
    wholeNumber(0, MAX_OFFSET + 1).refine(
      (offset) => offset <= MAX_OFFSET,
      `must be at most ${MAX_OFFSET}; use the cursor`,
    ),
  ),
  limit: emptyAsAbsent(wholeNumber(1, MAX_LIMIT)),
});
const RetrySchema = z.object({
  dryRun: z
    .union([z.boolean(), z.enum(['true', 'false'])], 'must be true or false')
    .default(false)
    .transform((value) => value === true || value === 'true'),
});
const RETRY_FIELDS = new Set([
  ...Object.keys(FiltersSchema.shape),
  ...Object.keys(RetrySchema.shape),
  '_csrf',
]);
const RangeSchema = z.object({
  from: emptyAsAbsent(instant),
  to: emptyAsAbsent(instant),
  accountId: emptyAsAbsent(id),
});

/** @throws BadRequestError naming the parameter and what it must be */
export function readFilters(query: Readonly<Record<string, unknown>>): EventFilters {
  const { from, to, q, ...lists } = parse(FiltersSchema, query);
  return { ...lists, from: from ?? null, to: to ?? null, q: q ?? null };
}

/**
 * The body of a bulk retry, JSON or a form. What is misspelled must not retry everything.
 * @throws BadRequestError naming the field and what it must be
 */
export function readRetryRequest(body: unknown): { filters: EventFilters; isDryRun: boolean } {
  const fields = z.record(z.string(), z.unknown()).safeParse(body ?? {});
  if (!fields.success) throw new BadRequestError('The filters must be fields of an object.', 'invalid_query');
  const unknown = Object.keys(fields.data).find((name) => !RETRY_FIELDS.has(name));
  if (unknown !== undefined) throw new BadRequestError(`${unknown} is not a filter.`, 'invalid_query');
  return { filters: readFilters(fields.data), isDryRun: parse(RetrySchema, fields.data).dryRun };
}

/** @throws BadRequestError */
export function readPage(query: Request['query'], defaultLimit: number): EventPage {
  const { cursor, offset, limit } = parse(PageSchema, query);
  return { cursor: cursor ?? null, offset: offset ?? 0, limit: limit ?? defaultLimit };
}

/** @throws BadRequestError */
export function readRange(query: Request['query']): {
  from: Date | null;
  to: Date | null;
  accountId: string | null;
} {
  const { from, to, accountId } = parse(RangeSchema, query);
  const until = to ?? new Date();
  if (from !== undefined && until.getTime() - from.getTime() > LONGEST_RANGE_MS)
    throw new BadRequestError('from and to may be a year apart at most.', 'invalid_query');
  return { from: from ?? null, to: to ?? null, accountId: accountId ?? null };
}

function parse<T>(schema: z.ZodType<T>, query: Readonly<Record<string, unknown>>): T {
  const parsed = schema.safeParse(query);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BadRequestError(
    `${String(issue?.path[0] ?? 'The query')} ${issue?.message ?? 'cannot be read'}.`,
    'invalid_query',
  );
}
