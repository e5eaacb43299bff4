import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryRows } from '../db/query';

/**
 * The refresh side of meta_accounts: who may renew which token when. A claim is a lease with a token of its own; only
 * its holder, and only while nobody changed the token in between, may write the outcome. All times are the database's.
 */
const ClaimSchema = z.object({
  id: z.string(),
  userId: z.string(),
  userToken: z.string().nullable(),
  tokenVersion: z.int(),
  leaseToken: z.string(),
  startedAt: z.date(),
  tokenExpiresAt: z.date().nullable(),
});
export type RefreshClaim = z.infer<typeof ClaimSchema>;

const CLAIM_COLUMNS = `meta_accounts.id, user_id AS "userId", user_token AS "userToken",
  token_version AS "tokenVersion", refresh_lease_token AS "leaseToken", now() AS "startedAt",
  token_expires_at AS "tokenExpiresAt"`;

const FREE = `(refresh_lease_until IS NULL OR refresh_lease_until <= now())`;
/** Meta renews no token younger than a day. */
const OLD_ENOUGH = `(token_issued_at IS NULL OR token_issued_at <= now() - interval '24 hours')`;

/**
 * Claims the due tokens that end first: below the threshold, not yet ended, and not waiting for a later try. Rows other
 * runs hold are passed over. (Materialised: as a plain subquery the plan may run it again for each row, past its limit.)
 */
export function claimDueRefreshes(
  db: Db,
  { thresholdDays, leaseSeconds, limit }: { thresholdDays: number; leaseSeconds: number; limit: number },
): Promise<RefreshClaim[]> {
  return queryRows(
    db,
    `WITH due AS MATERIALIZED (
       SELECT id FROM meta_accounts
       WHERE status = 'active'
         AND token_expires_at > now()
         AND token_expires_at <= now() + make_interval(days => $1)
         AND (next_refresh_at IS NULL OR next_refresh_at <= now())
         AND ${OLD_ENOUGH} AND ${FREE}
       ORDER BY token_expires_at, id
       LIMIT $3
       FOR UPDATE SKIP LOCKED
     )
     UPDATE meta_accounts
     SET refresh_lease_token = gen_random_uuid(), refresh_lease_until = now() + make_interval(secs => $2)
     FROM due
     WHERE meta_accounts.id = due.id AND status = 'active' AND ${FREE}
     RETURNING ${CLAIM_COLUMNS}`,
    [thresholdDays, leaseSeconds, limit],
    ClaimSchema,
  );
}

/** Why a login cannot be claimed: its token does not live any more, is younger than a day, or is being renewed. */
export type ClaimObstacle = 'ended' | 'young' | 'busy';

const ObstacleSchema = z.object({ obstacle: z.enum(['ended', 'young', 'busy']) });

/** Claims one login now, at its owner's wish, or says why it cannot be. */
export async function claimRefresh(
  db: Db,
  id: string,
  leaseSeconds: number,
): Promise<RefreshClaim | ClaimObstacle> {
  const claim = await queryOptionalRow(
    db,
    `UPDATE meta_accounts
     SET refresh_lease_token = gen_random_uuid(), refresh_lease_until = now() + make_interval(secs => $2)
     WHERE id = $1
       AND status = 'active'
       AND (token_expires_at IS NULL OR token_expires_at > now())
       AND ${OLD_ENOUGH} AND ${FREE}
     RETURNING ${CLAIM_COLUMNS}`,
    [id, leaseSeconds],
    ClaimSchema,
  );
  if (claim !== null) return claim;
  const row = await queryOptionalRow(
    db,
    `SELECT CASE
       WHEN status <> 'active' OR token_expires_at <= now() THEN 'ended'
       WHEN NOT ${OLD_ENOUGH} THEN 'young'
       ELSE 'busy'
     END AS obstacle
     FROM meta_accounts WHERE id = $1`,
    [id],
    ObstacleSchema,
  );
  return row?.obstacle ?? 'ended';
}

const StoredSchema = z.object({ tokenExpiresAt: z.date() });

/**
 * Replaces the token by a newer one that ends later.
 * @returns when it ends; null when the claim is not valid any more or the new end is no later than the old one
 */
export function storeRefreshedToken(
  db: Db,
  claim: RefreshClaim,
  { encrypted, expiresInSeconds }: { encrypted: string; expiresInSeconds: number },
): Promise<z.infer<typeof StoredSchema> | null> {
  return queryOptionalRow(
    db,
    `UPDATE meta_accounts
     SET user_token = $4, token_version = token_version + 1, token_issued_at = now(),
         token_expires_at = now() + make_interval(secs => $5),
         refresh_lease_token = NULL, refresh_lease_until = NULL, next_refresh_at = NULL, refresh_failures = 0,
         updated_at = now()
     WHERE id = $1 AND token_version = $2 AND refresh_lease_token = $3 AND status = 'active'
       AND (token_expires_at IS NULL OR token_expires_at < now() + make_interval(secs => $5) - interval '1 minute')
     RETURNING token_expires_at AS "tokenExpiresAt"`,
    [claim.id, claim.tokenVersion, claim.leaseToken, encrypted, expiresInSeconds],
    StoredSchema,
  );
}

/**
 * Ends the claim with the old token kept, to be tried again later.
 * @param waitSeconds from now
 * @returns false when the claim was not valid any more
 */
export async function postponeRefresh(
  db: Db,
  claim: RefreshClaim,
  { waitSeconds, isFailure }: { waitSeconds: number; isFailure: boolean },
): Promise<boolean> {
  const changed = await execute(
    db,
    `UPDATE meta_accounts
     SET refresh_lease_token = NULL, refresh_lease_until = NULL,
         next_refresh_at = now() + make_interval(secs => $4),
         refresh_failures = CASE WHEN $5 THEN refresh_failures + 1 ELSE 0 END,
         updated_at = now()
     WHERE id = $1 AND token_version = $2 AND refresh_lease_token = $3 AND status = 'active'`,
    [claim.id, claim.tokenVersion, claim.leaseToken, waitSeconds, isFailure],
  );
  return changed === 1;
}

/** Gives claims back untried. */
export async function releaseRefreshes(db: Db, claims: readonly RefreshClaim[]): Promise<void> {
  await execute(
    db,
    `UPDATE meta_accounts
     SET refresh_lease_token = NULL, refresh_lease_until = NULL
     WHERE refresh_lease_token = ANY ($1::uuid[])`,
    [claims.map(({ leaseToken }) => leaseToken)],
  );
}

const CountSchema = z.object({ count: z.coerce.number() });

/**
 * Marks logins whose token has ended, and the accounts on them, with a line in each one's history; Meta exchanges no
 * ended token, so nobody is asked. @returns how many
 */
export async function markExpiredMetaAccounts(db: Db): Promise<number> {
  const rows = await queryRows(
    db,
    `WITH ended AS (
       UPDATE meta_accounts
       SET status = 'needs_reconnect', status_code = 'token_expired', next_refresh_at = NULL,
           refresh_lease_token = NULL, refresh_lease_until = NULL, updated_at = now()
       WHERE status = 'active' AND token_expires_at <= now() AND ${FREE}
       RETURNING id, token_expires_at
     ), accounts AS (
       UPDATE instagram_accounts
       SET status = 'needs_reconnect', status_code = 'token_expired', status_changed_at = now(), updated_at = now()
       FROM ended
       WHERE meta_account_id = ended.id AND status NOT IN ('needs_reconnect', 'disconnected')
     ), history AS (
       INSERT INTO token_refresh_log (meta_account_id, started_at, outcome, error_code, old_expires_at)
       SELECT id, now(), 'needs_reconnect', 'token_expired', token_expires_at FROM ended
     )
     SELECT count(*) AS count FROM ended`,
    [],
    CountSchema,
  );
  return rows[0]?.count ?? 0;
}
