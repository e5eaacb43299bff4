import { z } from 'zod';
import { type Db, execute, queryOptionalRow, queryRow } from '../db/query';

const IdSchema = z.object({ id: z.string() });

export interface NewPage {
  metaAccountId: string;
  userId: string;
  pageId: string;
  name: string;
  category: string | null;
  tasks: readonly string[];
}

/** The token follows with `setPageToken`, which needs the row's id. @returns the row's id */
export async function upsertPage(db: Db, page: NewPage): Promise<string> {
  const { id } = await queryRow(
    db,
    `INSERT INTO pages (meta_account_id, user_id, page_id, name, category, tasks)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (meta_account_id, page_id) DO UPDATE
     SET name = excluded.name, category = excluded.category, tasks = excluded.tasks, updated_at = now()
     RETURNING id`,
    [page.metaAccountId, page.userId, page.pageId, page.name, page.category, page.tasks],
    IdSchema,
  );
  return id;
}

/** @param encrypted ciphertext bound to this row */
export async function setPageToken(db: Db, id: string, encrypted: string): Promise<void> {
  await execute(db, 'UPDATE pages SET page_token = $2, updated_at = now() WHERE id = $1', [id, encrypted]);
}

const EncryptedPageSchema = z.object({
  id: z.string(),
  userId: z.string(),
  pageId: z.string(),
  pageToken: z.string().nullable(),
});
export type EncryptedPage = z.infer<typeof EncryptedPageSchema>;

/** A Page with its encrypted token and what that is bound to. */
export function findEncryptedPage(db: Db, id: string): Promise<EncryptedPage | null> {
  return queryOptionalRow(
    db,
    `SELECT id, user_id AS "userId", page_id AS "pageId", page_token AS "pageToken" FROM pages WHERE id = $1`,
    [id],
    EncryptedPageSchema,
  );
}

/** Erases the tokens of Pages that no connected account of this login hangs on. */
export async function eraseUnusedPageTokens(db: Db, metaAccountId: string): Promise<void> {
  await execute(
    db,
    `UPDATE pages
     SET page_token = NULL, updated_at = now()
     WHERE meta_account_id = $1
       AND page_token IS NOT NULL
       AND NOT EXISTS (
         SELECT FROM instagram_accounts
         WHERE instagram_accounts.page_id = pages.id AND status <> 'disconnected'
       )`,
    [metaAccountId],
  );
}

/** True when another connected account, of whoever, gets its events through the same Page of Facebook. */
export async function isPageUsedByOthers(db: Db, pageId: string, exceptAccountId: string): Promise<boolean> {
  const row = await queryOptionalRow(
    db,
    `SELECT instagram_accounts.id
     FROM instagram_accounts
     JOIN pages ON pages.id = instagram_accounts.page_id
     WHERE pages.page_id = $1 AND instagram_accounts.id <> $2 AND instagram_accounts.status <> 'disconnected'
     ORDER BY instagram_accounts.id
     LIMIT 1`,
    [pageId, exceptAccountId],
    IdSchema,
  );
  return row !== null;
}
