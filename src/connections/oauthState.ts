import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { type AppContext } from '../context';
import { consumeOauthState, createOauthState, type Provider } from '../models/oauthStates';

/** The visitor whose browser goes to Meta and comes back. */
export interface Visitor {
  userId: string;
  sessionId: string;
}

const PURPOSE = 'oauth-connect';
const LIFETIME_SECONDS = 600;
const CLOCK_SKEW_SECONDS = 60;
const LONGEST_STATE = 1000;

const PayloadSchema = z.object({
  v: z.literal(1),
  purpose: z.literal(PURPOSE),
  nonce: z.string().min(20),
  sid: z.string(),
  uid: z.string(),
  iat: z.int(),
});

/**
 * A signed value that carries what the visit is bound to, and a row that makes it work once. Nothing of it lives in the
 * process: it survives a restart, and any other instance can take the visitor back.
 */
export async function issueState(
  { config, pool }: Pick<AppContext, 'config' | 'pool'>,
  { userId, sessionId }: Visitor,
  purpose: { provider: Provider; accountId: string | null },
): Promise<string> {
  const nonce = randomBytes(16).toString('base64url');
  const sidHash = sha256(sessionId);
  const payload: z.infer<typeof PayloadSchema> = {
    v: 1,
    purpose: PURPOSE,
    nonce,
    sid: sidHash.toString('base64url'),
    uid: userId,
    iat: Math.floor(Date.now() / 1000),
  };
  await createOauthState(pool, { nonceHash: sha256(nonce), sidHash, userId, ...purpose });
  const encoded = Buffer.from(JSON.stringify(payload)).toString('base64url');
  return `${encoded}.${sign(encoded, config.oauthStateSecret)}`;
}

export type StateProblem =
  'state_malformed' | 'state_invalid' | 'state_expired' | 'state_foreign' | 'state_used';

/**
 * Checks a state that came back and uses it up, whatever else the callback brings.
 * @returns what the visit was for, or why the state counts for nothing
 */
export async function takeState(
  { config, pool }: Pick<AppContext, 'config' | 'pool'>,
  visitor: Visitor,
  state: unknown,
): Promise<{ provider: Provider; accountId: string | null } | { problem: StateProblem }> {
  const [encoded, signature, ...rest] = readParts(state);
  if (encoded === undefined || signature === undefined || rest.length > 0)
    return { problem: 'state_malformed' };
  if (!equal(signature, sign(encoded, config.oauthStateSecret))) return { problem: 'state_invalid' };
  const payload = readPayload(encoded);
  if (payload === null) return { problem: 'state_invalid' };
  const age = Math.floor(Date.now() / 1000) - payload.iat;
  if (age > LIFETIME_SECONDS || age < -CLOCK_SKEW_SECONDS) return { problem: 'state_expired' };
  const sidHash = sha256(visitor.sessionId);
  if (payload.uid !== visitor.userId || payload.sid !== sidHash.toString('base64url'))
    return { problem: 'state_foreign' };
  const visit = await consumeOauthState(pool, {
    nonceHash: sha256(payload.nonce),
    sidHash,
    userId: visitor.userId,
  });
  return visit ?? { problem: 'state_used' };
}

function readParts(state: unknown): string[] {
  if (typeof state !== 'string' || state.length > LONGEST_STATE || !/^[\w-]+\.[\w-]+$/.test(state)) return [];
  return state.split('.');
}

function readPayload(encoded: string): z.infer<typeof PayloadSchema> | null {
  try {
    return PayloadSchema.parse(JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8')));
  } catch {
    return null;
  }
}

function sign(encoded: string, secret: string): string {
  return createHmac('sha256', secret).update(encoded).digest('base64url');
}

/** Compares the spelling, not the bytes: base64 has several spellings for the same ones. */
function equal(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
