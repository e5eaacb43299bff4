import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { parseMetaJson } from './json';

const PayloadSchema = z.object({
  algorithm: z.string().refine((name) => name.toUpperCase() === 'HMAC-SHA256'),
  // 0 with a profile_id when a Page removed the app.
  user_id: z.coerce.string().optional(),
  profile_id: z.coerce.string().optional(),
});

export interface SignedRequest {
  /** App-scoped id of the person; null when Meta names none. */
  metaUserId: string | null;
  /** The Page that removed the app, where it was one. */
  pageId: string | null;
}

/**
 * What a deauthorize or data deletion callback says, once one of the secrets signed it; null otherwise. The signature
 * covers the encoded payload, and neither its age nor its expiry counts: Meta repeats calls and sends `expires: 0`.
 * @see https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
 */
export function readSignedRequest(value: unknown, secrets: readonly string[]): SignedRequest | null {
  const [signature, payload, ...rest] = typeof value === 'string' ? value.split('.') : [];
  if (signature === undefined || payload === undefined || rest.length > 0) return null;
  if (!secrets.some((secret) => isSignature(signature, payload, secret))) return null;
  try {
    const parsed = PayloadSchema.safeParse(parseMetaJson(Buffer.from(payload, 'base64url').toString('utf8')));
    if (!parsed.success) return null;
    return { metaUserId: idOrNull(parsed.data.user_id), pageId: idOrNull(parsed.data.profile_id) };
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** An empty secret signs nothing: a forgotten setting must not let everybody in. */
function isSignature(signature: string, payload: string, secret: string): boolean {
  if (secret === '') return false;
  const given = Buffer.from(signature, 'base64url');
  const expected = createHmac('sha256', secret).update(payload, 'utf8').digest();
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function idOrNull(id: string | undefined): string | null {
  return id === undefined || !/^\d+$/.test(id) || id === '0' ? null : id;
}
