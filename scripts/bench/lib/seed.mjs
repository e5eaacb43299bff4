import { rows } from './cluster.mjs';

const ACCOUNTS = 20;

/** One person with some connected accounts. @returns their Instagram ids, as entry.id of a webhook names them */
export async function seedAccounts(url) {
  const accounts = await rows(
    url,
    `WITH person AS (
       INSERT INTO users (email, email_norm, password_hash)
       VALUES ('owner@bench.example', 'owner@bench.example', '-')
       RETURNING id
     ), login AS (
       INSERT INTO meta_accounts (user_id, provider, meta_user_id)
       SELECT id, 'facebook', '10150000000000001' FROM person
       RETURNING id, user_id
     )
     INSERT INTO instagram_accounts (user_id, meta_account_id, ig_user_id, username)
     SELECT user_id, id, (17841400000000000 + n)::text, 'shop_' || n
     FROM login CROSS JOIN generate_series(1, ${ACCOUNTS}) n
     RETURNING ig_user_id`,
  );
  return accounts.map((account) => account.ig_user_id);
}
