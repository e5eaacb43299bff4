import { createHmac, timingSafeEqual } from 'node:crypto';

/** Configured secrets by the name that is stored with what they signed: `meta`, `meta-2`, `instagram` … */
export type SigningSecrets = ReadonlyMap<string, string>;

/**
 * Which app secret signs events of Instagram Login is not documented, and a rotated secret overlaps with its successor:
 * every configured one counts.
 */
export function signingSecrets(meta: {
  appSecrets: readonly string[];
  instagramAppSecrets: readonly string[];
}): SigningSecrets {
  const named = (prefix: string, secrets: readonly string[]) =>
    secrets.map((secret, index) => [index === 0 ? prefix : `${prefix}-${index + 1}`, secret] as const);
  return new Map([...named('meta', meta.appSecrets), ...named('instagram', meta.instagramAppSecrets)]);
}

/** The digest an `X-Hub-Signature-256` header carries; null when it is not one. Meta writes it in lower case. */
export function readSignatureHeader(header: string | undefined): Buffer | null {
  const hex = /^sha256=([0-9a-f]{64})$/.exec(header ?? '')?.[1];
  return hex === undefined ? null : Buffer.from(hex, 'hex');
}

/**
 * The name of the secret that signed exactly these bytes, null for none. The body must be what came over the wire:
 * parsed and written again it has another signature.
 * @see https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads
 */
export function signedBy(body: Buffer, signature: Buffer, secrets: SigningSecrets): string | null {
  let match: string | null = null;
  for (const [name, secret] of secrets) {
    const expected = createHmac('sha256', secret).update(body).digest();
    if (expected.length === signature.length && timingSafeEqual(expected, signature)) match ??= name;
  }
  return match;
}
