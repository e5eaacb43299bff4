import { z } from 'zod';
import { type Db, execute, queryRows } from '../db/query';
import { HANDSHAKE_OUTCOMES, TOKEN_WRAPPINGS } from '../meta/handshake';

export const HANDSHAKES_KEPT = 500;

const HandshakeSchema = z.object({
  id: z.string(),
  at: z.date(),
  outcome: z.enum(HANDSHAKE_OUTCOMES),
  ip: z.string().nullable(),
  userAgent: z.string().nullable(),
  tokenLength: z.number().nullable(),
  tokenWrapping: z.enum(TOKEN_WRAPPINGS).nullable(),
});
export type Handshake = z.infer<typeof HandshakeSchema>;
export type NewHandshake = Omit<Handshake, 'id'>;

export async function recordHandshakes(db: Db, handshakes: NewHandshake[]): Promise<void> {
  const column = <T>(pick: (handshake: NewHandshake) => T): T[] => handshakes.map(pick);
  await execute(
    db,
    `INSERT INTO webhook_handshakes (at, outcome, ip, user_agent, token_length, token_wrapping)
     SELECT at, outcome, ip, user_agent, token_length, token_wrapping
     FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::text[])
       AS noted (at, outcome, ip, user_agent, token_length, token_wrapping)`,
    [
      column(({ at }) => at),
      column(({ outcome }) => outcome),
      column(({ ip }) => ip),
      column(({ userAgent }) => userAgent),
      column(({ tokenLength }) => tokenLength),
      column(({ tokenWrapping }) => tokenWrapping),
    ],
  );
}

/** Keeps the newest ones. @returns how many went */
export function trimHandshakes(db: Db): Promise<number> {
  return execute(
    db,
    `DELETE FROM webhook_handshakes
     WHERE id <= (SELECT id FROM webhook_handshakes ORDER BY id DESC OFFSET ${HANDSHAKES_KEPT} LIMIT 1)`,
  );
}

/** Newest first. @param cursor only those older than the one with this id */
export function listHandshakes(db: Db, cursor: string | null, limit: number): Promise<Handshake[]> {
  return queryRows(
    db,
    `SELECT id, at, outcome, ip, user_agent AS "userAgent", token_length AS "tokenLength", token_wrapping AS "tokenWrapping"
     FROM webhook_handshakes
     WHERE $1::bigint IS NULL OR id < $1
     ORDER BY id DESC
     LIMIT $2`,
    [cursor, limit],
    HandshakeSchema,
  );
}

/** Of the last 24 hours, most frequent first; only those that were kept. */
export function countHandshakes(db: Db): Promise<{ outcome: Handshake['outcome']; count: number }[]> {
  return queryRows(
    db,
    `SELECT outcome, count(*)::integer AS count
     FROM webhook_handshakes
     WHERE at > now() - interval '24 hours'
     GROUP BY outcome
     ORDER BY count DESC, outcome`,
    [],
    z.object({ outcome: z.enum(HANDSHAKE_OUTCOMES), count: z.number() }),
  );
}
