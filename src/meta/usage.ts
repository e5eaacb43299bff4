import { z } from 'zod';

const BusinessUsageSchema = z.record(
  z.string(),
  z.array(z.object({ estimated_time_to_regain_access: z.coerce.number().catch(0) /* minutes */ })),
);

/**
 * How long Meta asks to wait before it serves again, in seconds: `Retry-After`, or the estimate in the usage header of
 * a blocked account. Null when it names no time.
 * @see https://developers.facebook.com/docs/graph-api/overview/rate-limiting
 */
export function readWait(headers: object): number | null {
  const { 'retry-after': retryAfter, 'x-business-use-case-usage': usage } = headers as Readonly<
    Record<string, unknown>
  >;
  if (typeof retryAfter === 'string' && /^\d{1,6}$/.test(retryAfter)) return Number(retryAfter);
  const parsed = BusinessUsageSchema.safeParse(parse(usage));
  const rows = parsed.success ? Object.values(parsed.data).flat() : [];
  const minutes = Math.max(0, ...rows.map((row) => row.estimated_time_to_regain_access));
  return minutes > 0 ? minutes * 60 : null;
}

function parse(header: unknown): unknown {
  if (typeof header !== 'string') return null;
  try {
    return JSON.parse(header) as unknown;
  } catch {
    return null;
  }
}
