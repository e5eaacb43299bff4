import { type Db, execute } from '../db/query';

/** What we want from now on; nothing of it counts as confirmed yet. */
export async function upsertWantedFields(
  db: Db,
  accountId: string,
  wanted: readonly string[],
): Promise<void> {
  await execute(
    db,
    `INSERT INTO webhook_subscriptions (instagram_account_id, wanted)
     VALUES ($1, $2)
     ON CONFLICT (instagram_account_id) DO UPDATE
     SET wanted = excluded.wanted, confirmed = '{}', error_code = NULL, checked_at = NULL, updated_at = now()`,
    [accountId, wanted],
  );
}

/** What Meta listed when asked, and our code for what is wrong with it; null when nothing is. */
export async function recordConfirmedFields(
  db: Db,
  accountId: string,
  confirmed: readonly string[],
  errorCode: string | null,
): Promise<void> {
  await execute(
    db,
    `UPDATE webhook_subscriptions
     SET confirmed = $2, error_code = $3, checked_at = now(), updated_at = now()
     WHERE instagram_account_id = $1`,
    [accountId, confirmed, errorCode],
  );
}
