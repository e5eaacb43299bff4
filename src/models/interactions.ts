import { z } from 'zod';
import { type Db, execute, queryOptionalRow } from '../db/query';
import { type Interaction } from '../meta/interpret';

export interface InteractionSource {
  userId: string;
  instagramAccountId: string;
  eventId: string;
  isTest: boolean;
  occurredAt: Date;
}

const InteractionRowSchema = z.object({
  kind: z.string(),
  direction: z.enum(['in', 'out']),
  authorId: z.string().nullable(),
  authorUsername: z.string().nullable(),
  body: z.string().nullable(),
  attachments: z.array(z.record(z.string(), z.unknown())),
  deletedAt: z.date().nullable(),
});
export type InteractionRow = z.infer<typeof InteractionRowSchema>;

/** Writes what an event says into the one row of the thing it speaks of. */
export async function recordInteraction(
  db: Db,
  source: InteractionSource,
  interaction: Interaction,
): Promise<void> {
  await execute(db, interaction.isState ? REPLACE_STATE : MERGE_THING, [
    source.userId,
    source.instagramAccountId,
    interaction.kind,
    interaction.externalId,
    interaction.threadId,
    interaction.parentExternalId,
    interaction.direction,
    interaction.authorId,
    interaction.authorUsername,
    interaction.isDeletion ? null : interaction.body,
    JSON.stringify(interaction.isDeletion ? [] : interaction.attachments),
    interaction.details,
    interaction.editNumber,
    interaction.isDeletion ? source.occurredAt : null,
    source.isTest,
    source.eventId,
    source.occurredAt,
  ]);
}

/** What an event produced or changed, for its page; null when nothing. */
export function findInteraction(
  db: Db,
  instagramAccountId: string,
  kind: string,
  externalId: string,
): Promise<InteractionRow | null> {
  return queryOptionalRow(
    db,
    `SELECT kind, direction, author_id AS "authorId", author_username AS "authorUsername", body, attachments, deleted_at AS "deletedAt"
     FROM interactions
     WHERE instagram_account_id = $1 AND kind = $2 AND external_id = $3`,
    [instagramAccountId, kind, externalId],
    InteractionRowSchema,
  );
}

const INSERT = `
  INSERT INTO interactions AS known (user_id, instagram_account_id, kind, external_id, thread_id, parent_external_id, direction, author_id,
                                     author_username, body, attachments, details, edit_number, deleted_at, is_test, source_event_id, occurred_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
  ON CONFLICT (instagram_account_id, kind, external_id) DO UPDATE`;

/**
 * A thing with a life: created, edited, deleted, in any order of arrival. A deletion is final and takes the content
 * with it; of several texts the one with the highest edit number stays.
 */
const MERGE_THING = `${INSERT}
  SET thread_id = coalesce(known.thread_id, excluded.thread_id),
      parent_external_id = coalesce(known.parent_external_id, excluded.parent_external_id),
      author_id = coalesce(known.author_id, excluded.author_id),
      author_username = coalesce(known.author_username, excluded.author_username),
      body = CASE
        WHEN known.deleted_at IS NOT NULL OR excluded.deleted_at IS NOT NULL THEN NULL
        WHEN excluded.edit_number >= known.edit_number THEN excluded.body
        ELSE known.body
      END,
      attachments = CASE
        WHEN known.deleted_at IS NOT NULL OR excluded.deleted_at IS NOT NULL THEN '[]'
        WHEN excluded.edit_number = 0 THEN excluded.attachments
        ELSE known.attachments
      END,
      details = known.details || excluded.details,
      edit_number = greatest(known.edit_number, excluded.edit_number),
      deleted_at = least(known.deleted_at, excluded.deleted_at),
      occurred_at = least(known.occurred_at, excluded.occurred_at),
      updated_at = now()`;

/** A state of which the newest counts; at the same instant a withdrawal wins, so that any order ends the same. */
const REPLACE_STATE = `${INSERT}
  SET parent_external_id = excluded.parent_external_id, body = excluded.body, details = excluded.details, deleted_at = excluded.deleted_at,
      source_event_id = excluded.source_event_id, occurred_at = excluded.occurred_at, updated_at = now()
  WHERE (excluded.occurred_at, excluded.deleted_at IS NOT NULL) > (known.occurred_at, known.deleted_at IS NOT NULL)`;
