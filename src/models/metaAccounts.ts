import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryRow, queryRows } from '../db/query';
import { type Provider } from './oauthStates';

const COLUMNS = `id, user_id AS "userId", provider, meta_user_id AS "metaUserId", name,
  token_issued_at AS "tokenIssuedAt", token_expires_at AS "tokenExpiresAt",
  data_access_expires_at AS "dataAccessExpiresAt", scopes, declined_scopes AS "declinedScopes",
  status, status_code AS "statusCode", token_version AS "tokenVersion",
  next_refresh_at AS "nextRefreshAt", refresh_failures AS "refreshFailures", connected_at AS "connectedAt"`;

const MetaAccountSchema = z.object({
  id: z.string(),
  userId: z.string(),
  provider: z.enum(['facebook', 'instagram']),
  metaUserId: z.string(),
  name: z.string().nullable(),
  tokenIssuedAt: z.date().nullable(),
  tokenExpiresAt: z.date().nullable() /* null: does not expire */,
  dataAccessExpiresAt: z.date().nullable(),
  scopes: z.array(z.string()),
  declinedScopes: z.array(z.string()),
  status: z.enum(['active', 'needs_reconnect', 'disconnected']),
  statusCode: z.string().nullable(),
  tokenVersion: z.int(),
  nextRefreshAt: z.date().nullable(),
  refreshFailures: z.int(),
  connectedAt: z.date(),
});
/** One person's login at Meta, without its token. */
export type MetaAccount = z.infer<typeof MetaAccountSchema>;

const EncryptedSchema = z.object({ id: z.string(), userId: z.string(), userToken: z.string().nullable() });
const ENCRYPTED_COLUMNS = 'id, user_id AS "userId", user_token AS "userToken"';

export interface NewGrant {
  userId: string;
  provider: Provider;
  metaUserId: string;
  name: string | null;
  tokenExpiresAt: Date | null;
  dataAccessExpiresAt: Date | null;
  scopes: readonly string[];
  declinedScopes: readonly string[];
}

/**
 * The row of this login, new or renewed: active, under a new token version, so that a refresh that is out with the old
 * token comes too late. The token itself follows with `setUserToken`, which needs the row's id.
 */
export function upsertMetaAccount(db: Db, grant: NewGrant): Promise<MetaAccount> {
  return queryRow(
    db,
    `INSERT INTO meta_accounts (user_id, provider, meta_user_id, name, token_issued_at, token_expires_at,
       data_access_expires_at, scopes, declined_scopes)
     VALUES ($1, $2, $3, $4, now(), $5, $6, $7, $8)
     ON CONFLICT (user_id, provider, meta_user_id) DO UPDATE
     SET name = excluded.name,
         token_issued_at = now(),
         token_expires_at = excluded.token_expires_at,
         data_access_expires_at = excluded.data_access_expires_at,
         scopes = excluded.scopes,
         declined_scopes = excluded.declined_scopes,
         status = 'active',
         status_code = NULL,
         token_version = meta_accounts.token_version + 1,
         refresh_lease_token = NULL,
         refresh_lease_until = NULL,
         next_refresh_at = NULL,
         refresh_failures = 0,
         connected_at = now(),
         updated_at = now()
     RETURNING ${COLUMNS}`,
    [
      grant.userId,
      grant.provider,
      grant.metaUserId,
      grant.name,
      grant.tokenExpiresAt,
      grant.dataAccessExpiresAt,
      grant.scopes,
      grant.declinedScopes,
    ],
    MetaAccountSchema,
  );
}

/** @param encrypted ciphertext bound to this row */
export async function setUserToken(db: Db, id: string, encrypted: string): Promise<void> {
  await execute(db, 'UPDATE meta_accounts SET user_token = $2 WHERE id = $1', [id, encrypted]);
}

export function findMetaAccount(db: Db, id: string): Promise<MetaAccount | null> {
  return queryOptionalRow(db, `SELECT ${COLUMNS} FROM meta_accounts WHERE id = $1`, [id], MetaAccountSchema);
}

/** Held to the end of the transaction. Whoever changes a login's accounts takes this first, so that none wait in a ring. */
export async function lockMetaAccount(db: Db, id: string): Promise<void> {
  await execute(db, 'SELECT FROM meta_accounts WHERE id = $1 FOR UPDATE', [id]);
}

/** The encrypted token beside what it is bound to. Null when the row is gone. */
export function findEncryptedUserToken(db: Db, id: string): Promise<z.infer<typeof EncryptedSchema> | null> {
  return queryOptionalRow(
    db,
    `SELECT ${ENCRYPTED_COLUMNS} FROM meta_accounts WHERE id = $1`,
    [id],
    EncryptedSchema,
  );
}

/** Every live login of this person at Meta, in all our users' hands, by id. */
export function listMetaAccountsOfPerson(db: Db, metaUserId: string): Promise<MetaAccount[]> {
  return queryRows(
    db,
    `SELECT ${COLUMNS} FROM meta_accounts WHERE meta_user_id = $1 AND status <> 'disconnected' ORDER BY id`,
    [metaUserId],
    MetaAccountSchema,
  );
}

/** Logins of a user that no connected account hangs on any more, by id. */
export function listUnusedMetaAccounts(db: Db, userId: string): Promise<MetaAccount[]> {
  return queryRows(
    db,
    `SELECT ${COLUMNS} FROM meta_accounts
     WHERE user_id = $1
       AND status <> 'disconnected'
       AND NOT EXISTS (
         SELECT FROM instagram_accounts
         WHERE meta_account_id = meta_accounts.id AND instagram_accounts.status <> 'disconnected'
       )
     ORDER BY id`,
    [userId],
    MetaAccountSchema,
  );
}

/** What Meta's debug_token reported about the token the row has now; what it did not say (undefined) stays. */
export async function updateTokenFacts(
  db: Db,
  id: string,
  facts: {
    expiresAt: Date | null | undefined;
    dataAccessExpiresAt: Date | null | undefined;
    scopes: readonly string[] | undefined;
  },
  tokenVersion: number,
): Promise<void> {
  await execute(
    db,
    `UPDATE meta_accounts
     SET token_expires_at = CASE WHEN $3 THEN $4 ELSE token_expires_at END,
         data_access_expires_at = CASE WHEN $5 THEN $6 ELSE data_access_expires_at END,
         scopes = coalesce($7, scopes),
         updated_at = now()
     WHERE id = $1 AND token_version = $2`,
    [
      id,
      tokenVersion,
      facts.expiresAt !== undefined,
      facts.expiresAt ?? null,
      facts.dataAccessExpiresAt !== undefined,
      facts.dataAccessExpiresAt ?? null,
      facts.scopes ?? null,
    ],
  );
}

/** @param tokenVersion that of the token found dead: a newer one is left in peace. @returns false when there was one */
export async function markMetaAccountNeedsReconnect(
  db: Db,
  { id, tokenVersion }: { id: string; tokenVersion: number },
  code: string,
): Promise<boolean> {
  const changed = await execute(
    db,
    `UPDATE meta_accounts
     SET status = 'needs_reconnect', status_code = $3, refresh_lease_token = NULL, refresh_lease_until = NULL,
         next_refresh_at = NULL, updated_at = now()
     WHERE id = $1 AND token_version = $2 AND status <> 'disconnected'`,
    [id, tokenVersion, code],
  );
  return changed === 1;
}

/** Takes a `needs_reconnect` back, after Meta said that the token is fine. */
export async function markMetaAccountActive(
  db: Db,
  { id, tokenVersion }: { id: string; tokenVersion: number },
): Promise<boolean> {
  const changed = await execute(
    db,
    `UPDATE meta_accounts
     SET status = 'active', status_code = NULL, next_refresh_at = NULL, updated_at = now()
     WHERE id = $1 AND token_version = $2 AND status = 'needs_reconnect'`,
    [id, tokenVersion],
  );
  return changed === 1;
}

/** Erases the token for good: the new version and the missing lease stop whoever is renewing it at this moment. */
export async function disconnectMetaAccount(db: Db, id: string, code: string): Promise<boolean> {
  const changed = await execute(
    db,
    `UPDATE meta_accounts
     SET status = 'disconnected', status_code = $2, user_token = NULL, token_version = token_version + 1,
         refresh_lease_token = NULL, refresh_lease_until = NULL, next_refresh_at = NULL, updated_at = now()
     WHERE id = $1 AND status <> 'disconnected'`,
    [id, code],
  );
  return changed === 1;
}
