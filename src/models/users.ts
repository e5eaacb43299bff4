import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { isUniqueViolation } from '../db/errors';
import { type Db, execute, queryOptionalRow, queryRow } from '../db/query';

const COLUMNS = 'id, email, role';
const UserSchema = z.object({ id: z.string(), email: z.string(), role: z.enum(['user', 'operator']) });
const UserWithPasswordSchema = UserSchema.extend({ passwordHash: z.string() });

export type User = z.infer<typeof UserSchema>;

/**
 * What makes two spellings one address: trimmed, compatibility forms folded, lower case, the domain in ASCII. The only
 * place that decides this; the column email_norm holds its result.
 */
export function normalizeEmail(email: string): string {
  const folded = email.trim().normalize('NFKC').toLowerCase();
  const at = folded.lastIndexOf('@');
  if (at === -1) return folded;
  const domain = folded.slice(at + 1);
  return `${folded.slice(0, at)}@${domainToASCII(domain) || domain}`;
}

/** Null when the address is taken; the database decides, so fifty at once make one. */
export async function createUser(db: Db, email: string, passwordHash: string): Promise<User | null> {
  try {
    return await queryRow(
      db,
      `INSERT INTO users (email, email_norm, password_hash, last_login_at)
       VALUES ($1, $2, $3, now())
       RETURNING ${COLUMNS}`,
      [email.trim(), normalizeEmail(email), passwordHash],
      UserSchema,
    );
  } catch (error) {
    if (isUniqueViolation(error)) return null;
    throw error;
  }
}

export function findUser(db: Db, id: string): Promise<User | null> {
  return queryOptionalRow(db, `SELECT ${COLUMNS} FROM users WHERE id = $1`, [id], UserSchema);
}

/** For log-in only: the row carries the password's hash. */
export function findUserWithPassword(
  db: Db,
  email: string,
): Promise<z.infer<typeof UserWithPasswordSchema> | null> {
  return queryOptionalRow(
    db,
    `SELECT ${COLUMNS}, password_hash AS "passwordHash" FROM users WHERE email_norm = $1`,
    [normalizeEmail(email)],
    UserWithPasswordSchema,
  );
}

/** @param newPasswordHash stored when the old one was made with fewer rounds than today's */
export async function recordLogin(db: Db, id: string, newPasswordHash: string | null): Promise<void> {
  await execute(
    db,
    `UPDATE users
     SET last_login_at = now(), password_hash = coalesce($2, password_hash), updated_at = now()
     WHERE id = $1`,
    [id, newPasswordHash],
  );
}

/** @returns false when nobody has that address */
export async function setUserRole(db: Db, email: string, role: User['role']): Promise<boolean> {
  const changed = await execute(db, 'UPDATE users SET role = $2, updated_at = now() WHERE email_norm = $1', [
    normalizeEmail(email),
    role,
  ]);
  return changed === 1;
}
