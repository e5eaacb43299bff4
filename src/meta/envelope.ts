import { z } from 'zod';
import { type EnvelopeError } from './errors';

/** What can be read from a body that is not a success. */
export interface ErrorBody extends EnvelopeError {
  message: string;
  traceId: string | null;
}

const integer = z.coerce.number().int().nullable().catch(null);
const text = z.string().nullable().catch(null);

const EnvelopeSchema = z.object({
  message: text,
  code: integer,
  error_subcode: integer,
  is_transient: z.literal(true).or(z.literal('true')).nullable().catch(null),
  fbtrace_id: text,
});
const FlatSchema = z.object({ error_type: z.string(), error_message: text });

/**
 * The error a parsed body carries, whatever its HTTP status: Graph's envelope, `{"error":"text"}`, or the flat form of
 * api.instagram.com (whose `code` is only the HTTP status again). Null when it carries none.
 */
export function readError(body: unknown): ErrorBody | null {
  if (typeof body !== 'object' || body === null) return null;
  const flat = FlatSchema.safeParse(body);
  if (flat.success) return { ...NOTHING, message: flat.data.error_message ?? flat.data.error_type };
  if (!('error' in body)) return null;
  const envelope = EnvelopeSchema.safeParse(body.error);
  if (!envelope.success) {
    return { ...NOTHING, message: typeof body.error === 'string' ? body.error : 'an error without details' };
  }
  const { message, code, error_subcode, is_transient, fbtrace_id } = envelope.data;
  return {
    message: message ?? 'an error without details',
    code,
    subcode: error_subcode,
    isTransient: is_transient !== null,
    traceId: fbtrace_id,
  };
}

const NOTHING = { code: null, subcode: null, isTransient: false, traceId: null };
