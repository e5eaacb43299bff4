import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryRows } from '../db/query';

const COLUMNS = `instagram_accounts.id, instagram_accounts.user_id AS "userId", ig_user_id AS "igUserId", username,
  instagram_accounts.name, profile_picture_url AS "profilePictureUrl", followers_count AS "followersCount",
  media_count AS "mediaCount", instagram_accounts.status, instagram_accounts.status_code AS "statusCode",
  status_changed_at AS "statusChangedAt",
  (SELECT received_at FROM webhook_events WHERE instagram_account_id = instagram_accounts.id ORDER BY webhook_events.id DESC LIMIT 1) AS "lastEventAt",
  instagram_accounts.connected_at AS "connectedAt", disconnected_at AS "disconnectedAt",
  instagram_accounts.meta_account_id AS "metaAccountId", instagram_accounts.page_id AS "pageRowId"`;

const StatusSchema = z.enum([
  'pending',
  'active',
  'limited',
  'webhooks_down',
  'needs_reconnect',
  'disconnected',
]);
export type AccountStatus = z.infer<typeof StatusSchema>;

const InstagramAccountSchema = z.object({
  id: z.string(),
  userId: z.string(),
  igUserId: z.string(),
  username: z.string(),
  name: z.string().nullable(),
  profilePictureUrl: z.string().nullable(),
  followersCount: z.int().nullable(),
  mediaCount: z.int().nullable(),
  status: StatusSchema,
  statusCode: z.string().nullable(),
  statusChangedAt: z.date(),
  lastEventAt: z.date().nullable(),
  connectedAt: z.date(),
  disconnectedAt: z.date().nullable(),
  metaAccountId: z.string(),
  pageRowId: z.string().nullable(),
});
export type InstagramAccount = z.infer<typeof InstagramAccountSchema>;

/** With what the accounts pages show of its login, its Page and its subscription; never a token. */
const WHOLE_COLUMNS = `${COLUMNS}, meta_accounts.provider, meta_accounts.name AS "personName", meta_accounts.scopes,
  meta_accounts.declined_scopes AS "declinedScopes", meta_accounts.token_expires_at AS "tokenExpiresAt",
  meta_accounts.token_issued_at AS "tokenIssuedAt", meta_accounts.data_access_expires_at AS "dataAccessExpiresAt",
  meta_accounts.next_refresh_at AS "nextRefreshAt", meta_accounts.status AS "loginStatus",
  pages.name AS "pageName", pages.page_id AS "pageId",
  coalesce(webhook_subscriptions.wanted, '{}') AS "wantedFields",
  coalesce(webhook_subscriptions.confirmed, '{}') AS "confirmedFields",
  webhook_subscriptions.error_code AS "subscriptionCode", webhook_subscriptions.checked_at AS "subscriptionCheckedAt"`;
const WHOLE_TABLES = `instagram_accounts
  JOIN meta_accounts ON meta_accounts.id = instagram_accounts.meta_account_id
  LEFT JOIN pages ON pages.id = instagram_accounts.page_id
  LEFT JOIN webhook_subscriptions ON webhook_subscriptions.instagram_account_id = instagram_accounts.id`;

const WholeAccountSchema = InstagramAccountSchema.extend({
  provider: z.enum(['facebook', 'instagram']),
  personName: z.string().nullable(),
  scopes: z.array(z.string()),
  declinedScopes: z.array(z.string()),
  tokenExpiresAt: z.date().nullable(),
  tokenIssuedAt: z.date().nullable(),
  dataAccessExpiresAt: z.date().nullable(),
  nextRefreshAt: z.date().nullable(),
  loginStatus: z.enum(['active', 'needs_reconnect', 'disconnected']),
  pageName: z.string().nullable(),
  pageId: z.string().nullable(),
  wantedFields: z.array(z.string()),
  confirmedFields: z.array(z.string()),
  subscriptionCode: z.string().nullable(),
  subscriptionCheckedAt: z.date().nullable(),
});
export type WholeAccount = z.infer<typeof WholeAccountSchema>;

/** All of a user's accounts: connected ones first, each group by name. */
export function listAccountsByUser(db: Db, userId: string): Promise<WholeAccount[]> {
  return queryRows(
    db,
    `SELECT ${WHOLE_COLUMNS}
     FROM ${WHOLE_TABLES}
     WHERE instagram_accounts.user_id = $1
     ORDER BY instagram_accounts.status = 'disconnected', username, instagram_accounts.id`,
    [userId],
    WholeAccountSchema,
  );
}

/** Null also when it is somebody else's. */
export function findAccountOfUser(db: Db, userId: string, id: string): Promise<WholeAccount | null> {
  return queryOptionalRow(
    db,
    `SELECT ${WHOLE_COLUMNS}
     FROM ${WHOLE_TABLES}
     WHERE instagram_accounts.user_id = $1 AND instagram_accounts.id = $2`,
    [userId, id],
    WholeAccountSchema,
  );
}

export function findAccount(db: Db, id: string): Promise<InstagramAccount | null> {
  return queryOptionalRow(
    db,
    `SELECT ${COLUMNS} FROM instagram_accounts WHERE id = $1`,
    [id],
    InstagramAccountSchema,
  );
}

/** Everybody's connected accounts that get their events through this Page of Facebook, by id. */
export function listConnectedAccountsOnPage(db: Db, pageId: string): Promise<InstagramAccount[]> {
  return queryRows(
    db,
    `SELECT ${COLUMNS}
     FROM instagram_accounts
     JOIN pages ON pages.id = instagram_accounts.page_id
     WHERE pages.page_id = $1 AND instagram_accounts.status <> 'disconnected'
     ORDER BY instagram_accounts.id`,
    [pageId],
    InstagramAccountSchema,
  );
}

const IdSchema = z.object({ id: z.string() });

/**
 * Connected accounts with a living login whose subscription nobody has looked at for nearly an hour, or which is known
 * to be missing; by id, from the one after `afterId` on.
 */
export async function listAccountsToWatch(db: Db, afterId: string, limit: number): Promise<string[]> {
  const rows = await queryRows(
    db,
    `SELECT instagram_accounts.id
     FROM instagram_accounts
     JOIN meta_accounts ON meta_accounts.id = instagram_accounts.meta_account_id AND meta_accounts.status = 'active'
     LEFT JOIN webhook_subscriptions ON instagram_account_id = instagram_accounts.id
     WHERE instagram_accounts.id > $1
       AND instagram_accounts.status IN ('pending', 'active', 'limited', 'webhooks_down')
       AND (instagram_accounts.status = 'webhooks_down' OR checked_at IS NULL
         OR checked_at <= now() - interval '50 minutes')
     ORDER BY instagram_accounts.id
     LIMIT $2`,
    [afterId, limit],
    IdSchema,
  );
  return rows.map(({ id }) => id);
}

const KnownSchema = z.object({ igUserId: z.string() });

/** Instagram ids of the accounts a user has connected now. */
export async function listConnectedIgUserIds(db: Db, userId: string): Promise<string[]> {
  const rows = await queryRows(
    db,
    `SELECT ig_user_id AS "igUserId" FROM instagram_accounts
     WHERE user_id = $1 AND status <> 'disconnected'
     ORDER BY id`,
    [userId],
    KnownSchema,
  );
  return rows.map(({ igUserId }) => igUserId);
}

/**
 * Lets one transaction at a time decide who owns an Instagram account; the others wait until it ends. Take several in
 * a fixed order.
 */
export async function lockInstagramAccount(db: Db, igUserId: string): Promise<void> {
  await execute(db, `SELECT pg_advisory_xact_lock(hashtextextended('instagram_account:' || $1, 0))`, [
    igUserId,
  ]);
}

export interface ConnectedAccount {
  userId: string;
  metaAccountId: string;
  pageRowId: string | null;
  igUserId: string;
  username: string;
  name: string | null;
  profilePictureUrl: string | null;
  followersCount: number | null;
  mediaCount: number | null;
  /** Until the webhooks are confirmed it is not called active. */
  status: AccountStatus;
  statusCode: string | null;
}

/**
 * The user's row for this account, new or renewed with its history kept. Call under `lockInstagramAccount`.
 * @returns null, and nothing changed, while somebody else has the account connected
 */
export function upsertConnectedAccount(db: Db, account: ConnectedAccount): Promise<InstagramAccount | null> {
  return queryOptionalRow(
    db,
    `INSERT INTO instagram_accounts (user_id, meta_account_id, page_id, ig_user_id, username, name,
       profile_picture_url, followers_count, media_count, status, status_code)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
     WHERE NOT EXISTS (
       SELECT FROM instagram_accounts
       WHERE ig_user_id = $4 AND user_id <> $1 AND status <> 'disconnected'
     )
     ON CONFLICT (user_id, ig_user_id) DO UPDATE
     SET meta_account_id = excluded.meta_account_id,
         page_id = excluded.page_id,
         username = excluded.username,
         name = excluded.name,
         profile_picture_url = excluded.profile_picture_url,
         followers_count = excluded.followers_count,
         media_count = excluded.media_count,
         status = excluded.status,
         status_code = excluded.status_code,
         status_changed_at = now(),
         connected_at = now(),
         disconnected_at = NULL,
         updated_at = now()
     RETURNING ${COLUMNS}`,
    [
      account.userId,
      account.metaAccountId,
      account.pageRowId,
      account.igUserId,
      account.username,
      account.name,
      account.profilePictureUrl,
      account.followersCount,
      account.mediaCount,
      account.status,
      account.statusCode,
    ],
    InstagramAccountSchema,
  );
}

/**
 * @param metaAccountId the login the finding is about: after a reconnect through another one it is out of date
 * @returns false when the account was disconnected or reconnected meanwhile
 */
export async function markAccountStatus(
  db: Db,
  { id, metaAccountId }: { id: string; metaAccountId: string },
  status: Exclude<AccountStatus, 'disconnected'>,
  code: string | null,
): Promise<boolean> {
  const changed = await execute(
    db,
    `UPDATE instagram_accounts
     SET status = $3,
         status_code = $4,
         status_changed_at = CASE WHEN status = $3 THEN status_changed_at ELSE now() END,
         updated_at = now()
     WHERE id = $1 AND meta_account_id = $2 AND status <> 'disconnected'`,
    [id, metaAccountId, status, code],
  );
  return changed === 1;
}

/** Every connected account of a login whose token died. */
export async function markAccountsNeedReconnect(db: Db, metaAccountId: string, code: string): Promise<void> {
  await execute(
    db,
    `UPDATE instagram_accounts
     SET status = 'needs_reconnect',
         status_code = $2,
         status_changed_at = CASE WHEN status = 'needs_reconnect' THEN status_changed_at ELSE now() END,
         updated_at = now()
     WHERE meta_account_id = $1 AND status <> 'disconnected'`,
    [metaAccountId, code],
  );
}

/** @returns false when it was disconnected before */
export async function disconnectAccount(db: Db, id: string, code: string): Promise<boolean> {
  const changed = await execute(
    db,
    `UPDATE instagram_accounts
     SET status = 'disconnected', status_code = $2, status_changed_at = now(), disconnected_at = now(),
         updated_at = now()
     WHERE id = $1 AND status <> 'disconnected'`,
    [id, code],
  );
  return changed === 1;
}

/** @returns how many were connected until now */
export function disconnectAccountsOfLogin(db: Db, metaAccountId: string, code: string): Promise<number> {
  return execute(
    db,
    `UPDATE instagram_accounts
     SET status = 'disconnected', status_code = $2, status_changed_at = now(), disconnected_at = now(),
         updated_at = now()
     WHERE meta_account_id = $1 AND status <> 'disconnected'`,
    [metaAccountId, code],
  );
}
