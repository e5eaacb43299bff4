import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { sealPageToken, sealUserToken } from '../../src/connections/storedTokens';
import { type AppContext } from '../../src/context';
import { execute, queryRow } from '../../src/db/query';

const IdSchema = z.object({ id: z.string() });

export interface LoginValues {
  token?: string;
  /** PostgreSQL intervals from now; null: no end. */
  expiresIn?: string | null;
  issuedAgo?: string;
  scopes?: string[];
}

/** A login with one connected account on a Page, both tokens encrypted as the app does it. */
export async function makeLogin(
  { config, pool }: AppContext,
  userId: string,
  {
    token = `EAADEMO${randomInt(1e12)}`,
    expiresIn = '5 days',
    issuedAgo = '30 days',
    scopes = [],
  }: LoginValues = {},
): Promise<{ id: string; accountId: string; token: string }> {
  const { id } = await queryRow(
    pool,
    `INSERT INTO meta_accounts (user_id, provider, meta_user_id, token_issued_at, token_expires_at, scopes)
     VALUES ($1, 'facebook', $2, now() - $3::interval, now() + $4::interval, $5) RETURNING id`,
    [userId, String(randomInt(1e10, 9e10)), issuedAgo, expiresIn, scopes],
    IdSchema,
  );
  await execute(pool, 'UPDATE meta_accounts SET user_token = $2 WHERE id = $1', [
    id,
    sealUserToken(config.tokenKeys, token, { id, userId }),
  ]);
  const page = await queryRow(
    pool,
    `INSERT INTO pages (meta_account_id, user_id, page_id, name) VALUES ($1, $2, $3, 'Bar Example') RETURNING id`,
    [id, userId, String(randomInt(1e10, 9e10))],
    IdSchema,
  );
  await execute(pool, 'UPDATE pages SET page_token = $2 WHERE id = $1', [
    page.id,
    sealPageToken(config.tokenKeys, `${token}page`, { id: page.id, userId }),
  ]);
  const account = await queryRow(
    pool,
    `INSERT INTO instagram_accounts (user_id, meta_account_id, page_id, ig_user_id, username)
     VALUES ($1, $2, $3, $4, 'bar.example') RETURNING id`,
    [userId, id, page.id, `178414${randomInt(1e10, 9e10)}`],
    IdSchema,
  );
  return { id, accountId: account.id, token };
}
