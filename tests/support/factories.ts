import { randomInt, randomUUID } from 'node:crypto';
import { type Db, queryRow } from '../../src/db/query';
import { z } from 'zod';

const IdSchema = z.object({ id: z.string() });

export async function makeUser(
  db: Db,
  values: { email?: string; role?: 'user' | 'operator' } = {},
): Promise<{ id: string; email: string }> {
  const email = values.email ?? `${randomUUID()}@example.com`;
  const { id } = await queryRow(
    db,
    `INSERT INTO users (email, email_norm, password_hash, role) VALUES ($1, $1, 'none', $2) RETURNING id`,
    [email, values.role ?? 'user'],
    IdSchema,
  );
  return { id, email };
}

/** A connected Instagram account with its grant; no token. */
export async function makeAccount(
  db: Db,
  userId: string,
  values: { igUserId?: string; username?: string; status?: string } = {},
): Promise<{ id: string; igUserId: string }> {
  const igUserId = values.igUserId ?? `178414${randomInt(1e10, 9e10)}`;
  const { id: metaAccountId } = await queryRow(
    db,
    `INSERT INTO meta_accounts (user_id, provider, meta_user_id) VALUES ($1, 'facebook', $2) RETURNING id`,
    [userId, String(randomInt(1e10, 9e10))],
    IdSchema,
  );
  const { id } = await queryRow(
    db,
    `INSERT INTO instagram_accounts (user_id, meta_account_id, ig_user_id, username, status) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
    [userId, metaAccountId, igUserId, values.username ?? 'bar.example', values.status ?? 'active'],
    IdSchema,
  );
  return { id, igUserId };
}
