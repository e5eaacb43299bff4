import { z } from 'zod';
import { type Db, queryOptionalRow } from '../db/query';
import { type Interaction, STATE_KINDS } from '../meta/interaction';

export interface InteractionSource {
  userId: string;
  instagramAccountId: string;
  eventId: string;
  isTest: boolean;
  occurredAt: Date;
}

export interface SourcedInteraction {
  source: InteractionSource;
  interaction: Interaction;
}

const InteractionRowSchema = z.object({
  kind: z.string(),
  direction: z.enum(['in', 'out']),
  authorId: z.string().nullable(),
  authorUsername: z.string().nullable(),
  body: z.string().nullable(),
  attachments: z.array(z.record(z.string(), z.unknown())),
  details: z.record(z.string(), z.unknown()),
  deletedAt: z.date().nullable(),
});
export type InteractionRow = z.infer<typeof InteractionRowSchema>;

/** What an event produced or changed, for its page; null when nothing. */
export function findInteraction(
  db: Db,
  instagramAccountId: string,
  kind: string,
  externalId: string,
): Promise<InteractionRow | null> {
  return queryOptionalRow(
    db,
    `SELECT kind, direction, author_id AS "authorId", author_username AS "authorUsername", body, attachments, details, deleted_at AS "deletedAt"
     FROM interactions
     WHERE instagram_account_id = $1 AND kind = $2 AND external_id = $3`,
    [instagramAccountId, kind, externalId],
    InteractionRowSchema,
  );
}

/** The value of the parameter that interactionCtes reads. */
export function interactionsJson(rows: readonly SourcedInteraction[]): string {
  return JSON.stringify(rows.map(rowOf));
}

function rowOf({ source, interaction }: SourcedInteraction) {
  const { isDeletion } = interaction;
  return {
    user_id: source.userId,
    instagram_account_id: source.instagramAccountId,
    kind: interaction.kind,
    external_id: interaction.externalId,
    thread_id: interaction.threadId,
    parent_external_id: interaction.parentExternalId,
    direction: interaction.direction,
    author_id: interaction.authorId,
    author_username: interaction.authorUsername,
    body: isDeletion ? null : interaction.body,
    attachments: isDeletion ? [] : interaction.attachments,
    details: isDeletion ? {} : interaction.details,
    edit_number: interaction.editNumber,
    deleted_at: isDeletion ? source.occurredAt : null,
    is_test: source.isTest,
    source_event_id: source.eventId,
    occurred_at: source.occurredAt,
  };
}

const COLUMNS = `user_id, instagram_account_id, kind, external_id, thread_id, parent_external_id, direction, author_id, author_username, body,
       attachments, details, edit_number, deleted_at, is_test, source_event_id, occurred_at`;
const STATES = `ARRAY[${STATE_KINDS.map((kind) => `'${kind}'`).join(', ')}]`;

/** Of a state the greatest of these counts: the newest, at the same instant a withdrawal, and then any fixed order. */
const rankOf = (row: string): string[] => [
  `${row}.occurred_at`,
  `(${row}.deleted_at IS NOT NULL)`,
  `coalesce(${row}.body, '')`,
  `${row}.details`,
  `coalesce(${row}.source_event_id, 0)`,
];

const IS_DELETED = 'known.deleted_at IS NOT NULL OR excluded.deleted_at IS NOT NULL';
const MERGES = Object.entries({
  thread_id: 'least(known.thread_id, excluded.thread_id)',
  parent_external_id: 'least(known.parent_external_id, excluded.parent_external_id)',
  direction: 'greatest(known.direction, excluded.direction)',
  author_id: 'least(known.author_id, excluded.author_id)',
  author_username: 'least(known.author_username, excluded.author_username)',
  body: `CASE
        WHEN ${IS_DELETED} THEN NULL
        WHEN excluded.edit_number = known.edit_number THEN greatest(known.body, excluded.body)
        WHEN excluded.edit_number > known.edit_number THEN excluded.body
        ELSE known.body
      END`,
  attachments: `CASE WHEN ${IS_DELETED} THEN '[]' ELSE greatest(known.attachments, excluded.attachments) END`,
  details: `CASE WHEN ${IS_DELETED} THEN '{}' ELSE merge_interaction_details(known.details, excluded.details) END`,
  edit_number: 'greatest(known.edit_number, excluded.edit_number)',
  deleted_at: 'least(known.deleted_at, excluded.deleted_at)',
  is_test: 'known.is_test AND excluded.is_test',
  source_event_id: `CASE
        WHEN known.source_event_id IS NULL OR (excluded.occurred_at, excluded.source_event_id) < (known.occurred_at, known.source_event_id)
          THEN excluded.source_event_id
        ELSE known.source_event_id
      END`,
  occurred_at: 'least(known.occurred_at, excluded.occurred_at)',
})
  .map(
    ([column, merged]) =>
      `${column} = CASE WHEN known.kind = ANY (${STATES}) THEN excluded.${column} ELSE ${merged} END`,
  )
  .join(',\n        ');

/**
 * Common table expressions that write interactions; `interaction_written` has a row for each thing that was changed.
 * Rows are locked in one order, so that two statements with the same things do not wait for each other.
 *
 * A state (a reaction, a read mark, figures) is replaced by a newer one. Anything else has a life: it is created,
 * edited, deleted. A deletion is final and takes the content with it; of several texts the one with the highest edit
 * number stays; the earliest event is its source.
 * @param parameter where interactionsJson's text is: `$1` …
 * @param condition which of its rows to write, by their columns
 */
export function interactionCtes(parameter: string, condition: string): string {
  return `interaction_input AS (
    SELECT *
    FROM json_to_recordset(${parameter}::json) AS row (
      user_id bigint, instagram_account_id bigint, kind text, external_id text, thread_id text, parent_external_id text, direction text,
      author_id text, author_username text, body text, attachments jsonb, details jsonb, edit_number integer, deleted_at timestamptz,
      is_test boolean, source_event_id bigint, occurred_at timestamptz
    )
    WHERE ${condition}
  ), interaction_things (${COLUMNS}) AS (
    SELECT min(user_id), instagram_account_id, kind, external_id, min(thread_id), min(parent_external_id), max(direction), min(author_id),
           min(author_username),
           CASE WHEN min(deleted_at) IS NULL THEN (array_agg(body ORDER BY edit_number DESC, body DESC NULLS LAST))[1] END,
           CASE WHEN min(deleted_at) IS NULL THEN (array_agg(attachments ORDER BY attachments DESC))[1] ELSE '[]' END,
           CASE WHEN min(deleted_at) IS NULL THEN merged_interaction_details(details) ELSE '{}' END,
           max(edit_number), min(deleted_at), bool_and(is_test),
           (array_agg(source_event_id ORDER BY occurred_at, source_event_id))[1], min(occurred_at)
    FROM interaction_input
    WHERE kind <> ALL (${STATES})
    GROUP BY instagram_account_id, kind, external_id
  ), interaction_states AS (
    SELECT DISTINCT ON (instagram_account_id, kind, external_id) ${COLUMNS}
    FROM interaction_input input
    WHERE kind = ANY (${STATES})
    ORDER BY instagram_account_id, kind, external_id, ${rankOf('input').join(' DESC, ')} DESC
  ), interaction_written AS (
    INSERT INTO interactions AS known (${COLUMNS})
    SELECT * FROM interaction_things
    UNION ALL
    SELECT * FROM interaction_states
    ORDER BY instagram_account_id, kind, external_id
    ON CONFLICT (instagram_account_id, kind, external_id) DO UPDATE
    SET ${MERGES}, updated_at = now()
    WHERE known.kind <> ALL (${STATES}) OR (${rankOf('excluded').join(', ')}) > (${rankOf('known').join(', ')})
    RETURNING known.id
  )`;
}
