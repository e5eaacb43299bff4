import { z } from 'zod';
import { type Db, execute, queryOptionalRow } from '../db/query';

export type Provider = 'facebook' | 'instagram';

export interface OauthStateOwner {
  /** sha256 of the random part of the state. */
  nonceHash: Buffer;
  /** sha256 of the browser's session id. */
  sidHash: Buffer;
  userId: string;
}

const ConsumedSchema = z.object({
  provider: z.enum(['facebook', 'instagram']),
  accountId: z.string().nullable(),
});

/** Notes a visit to the dialog, good for ten minutes. */
export async function createOauthState(
  db: Db,
  {
    nonceHash,
    sidHash,
    userId,
    provider,
    accountId,
  }: OauthStateOwner & { provider: Provider; accountId: string | null },
): Promise<void> {
  await execute(
    db,
    `INSERT INTO oauth_states (nonce_hash, sid_hash, user_id, provider, instagram_account_id, expires_at)
     VALUES ($1, $2, $3, $4, $5, now() + interval '10 minutes')`,
    [nonceHash, sidHash, userId, provider, accountId],
  );
}

/**
 * Uses the state up, once, for the session and person it was given to.
 * @returns what the visit was for; null when it was used before, is too old or belongs to somebody else
 */
export function consumeOauthState(
  db: Db,
  { nonceHash, sidHash, userId }: OauthStateOwner,
): Promise<z.infer<typeof ConsumedSchema> | null> {
  return queryOptionalRow(
    db,
    `UPDATE oauth_states
     SET used_at = now()
     WHERE nonce_hash = $1 AND sid_hash = $2 AND user_id = $3 AND used_at IS NULL AND expires_at > now()
     RETURNING provider, instagram_account_id AS "accountId"`,
    [nonceHash, sidHash, userId],
    ConsumedSchema,
  );
}

/** @returns how many; a state that is past its time can never be used */
export function deleteExpiredOauthStates(db: Db): Promise<number> {
  return execute(db, `DELETE FROM oauth_states WHERE expires_at < now() - interval '1 day'`);
}
