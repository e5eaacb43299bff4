import { createHash, timingSafeEqual } from 'node:crypto';

export const HANDSHAKE_OUTCOMES = ['ok', 'wrong_token', 'bad_challenge', 'wrong_mode', 'missing'] as const;
export const TOKEN_WRAPPINGS = ['spaces', 'quotes'] as const;

export interface HandshakeVerdict {
  outcome: (typeof HANDSHAKE_OUTCOMES)[number];
  /** To be repeated; null unless the outcome is ok. */
  challenge: string | null;
  /** Of the token that was given, in characters. */
  tokenLength: number | null;
  /** A wrong token that is ours but for what was copied along around it. */
  tokenWrapping: (typeof TOKEN_WRAPPINGS)[number] | null;
}

/**
 * Judges the request by which Meta asks whether this address is ours. A challenge that could be more than Meta's number
 * is not repeated: it would be somebody else's script on our page.
 * @see https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests
 */
export function judgeHandshake(query: Record<string, unknown>, verifyToken: string): HandshakeVerdict {
  const { 'hub.mode': mode, 'hub.verify_token': token, 'hub.challenge': challenge } = query;
  const verdict = (outcome: HandshakeVerdict['outcome']): HandshakeVerdict => ({
    outcome,
    challenge: outcome === 'ok' ? String(challenge) : null,
    tokenLength: typeof token === 'string' ? token.length : null,
    tokenWrapping: outcome === 'wrong_token' ? wrappingOf(token, verifyToken) : null,
  });
  if (mode === undefined || token === undefined) return verdict('missing');
  if (mode !== 'subscribe') return verdict('wrong_mode');
  if (!isSame(token, verifyToken)) return verdict('wrong_token');
  if (typeof challenge !== 'string' || !/^[0-9A-Za-z_-]{1,128}$/.test(challenge))
    return verdict('bad_challenge');
  return verdict('ok');
}

function wrappingOf(token: unknown, verifyToken: string): HandshakeVerdict['tokenWrapping'] {
  if (typeof token !== 'string') return null;
  if (isSame(token.trim(), verifyToken)) return 'spaces';
  return isSame(token.replace(/^[\s"'“”‘’`]+|[\s"'“”‘’`]+$/g, ''), verifyToken) ? 'quotes' : null;
}

function isSame(given: unknown, expected: string): boolean {
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return typeof given === 'string' && timingSafeEqual(digest(given), digest(expected));
}
