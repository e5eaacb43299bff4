import { createHmac } from 'node:crypto';

import { type AppRecord, type Flow, type SignatureVariant } from '../state';

/** JSON the way Meta writes it: everything outside ASCII as lowercase `\uXXXX` (meta-platform §3.3). */
export function metaJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The signature headers of a body: the flow decides on the secret, the variant on how right they are. */
export function signatureHeaders(
  app: AppRecord,
  flow: Flow,
  body: string,
  variant: SignatureVariant,
): Record<string, string> {
  const secrets =
    flow === 'facebook' ? [app.secret, app.instagramAppSecret] : [app.instagramAppSecret, app.secret];
  const [secret = '', otherSecret = ''] = secrets;
  const sha1 = { 'X-Hub-Signature': `sha1=${hmac('sha1', secret, body)}` };
  const sha256 = `sha256=${hmac('sha256', secret, body)}`;
  switch (variant) {
    case 'valid':
      return { ...sha1, 'X-Hub-Signature-256': sha256 };
    case 'missing':
      return {};
    case 'sha1only':
      return sha1;
    case 'truncated':
      return { ...sha1, 'X-Hub-Signature-256': sha256.slice(0, -8) };
    case 'otherSecret':
      return { ...signatureHeaders(app, flow, body, 'sha1only'), ...signed(otherSecret, body) };
    case 'wrong':
      return { ...sha1, ...signed('not-the-secret', body) };
  }
}

function signed(secret: string, body: string): Record<string, string> {
  return { 'X-Hub-Signature-256': `sha256=${hmac('sha256', secret, body)}` };
}

function hmac(algorithm: string, secret: string, text: string): string {
  return createHmac(algorithm, secret).update(text).digest('hex');
}
