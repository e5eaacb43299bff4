import { z } from 'zod';
import { type Db, execute, queryOptionalRow } from '../db/query';

/**
 * True in a WHERE while processors may claim events. PostgreSQL evaluates it once per statement, not once per row.
 */
export const QUEUE_IS_RUNNING_SQL = 'NOT EXISTS (SELECT FROM queue_settings WHERE is_paused)';

const PauseSchema = z.object({
  pausedAt: z.date(),
  /** Null when that person is gone. */
  pausedByEmail: z.string().nullable(),
  reason: z.string().nullable(),
});
export type QueuePause = z.infer<typeof PauseSchema>;

/** Null while events are processed. */
export function findQueuePause(db: Db): Promise<QueuePause | null> {
  return queryOptionalRow(
    db,
    `SELECT settings.paused_at AS "pausedAt", person.email AS "pausedByEmail", settings.reason
     FROM queue_settings settings
     LEFT JOIN users person ON person.id = settings.paused_by
     WHERE settings.is_paused`,
    [],
    PauseSchema,
  );
}

/**
 * Stops or starts the claiming of events; what a processor has claimed already, it finishes.
 * @returns false when it was so before: then nothing is changed, not even who did it
 */
export async function setQueuePaused(
  db: Db,
  change: { isPaused: true; userId: string; reason: string | null } | { isPaused: false },
): Promise<boolean> {
  if (!change.isPaused) {
    const resume = `UPDATE queue_settings
                    SET is_paused = false, paused_at = NULL, paused_by = NULL, reason = NULL
                    WHERE is_paused`;
    return (await execute(db, resume)) === 1;
  }
  const paused = await execute(
    db,
    `INSERT INTO queue_settings (is_paused, paused_at, paused_by, reason)
     VALUES (true, now(), $1, $2)
     ON CONFLICT (is_only_row) DO UPDATE
     SET is_paused = true, paused_at = excluded.paused_at, paused_by = excluded.paused_by, reason = excluded.reason
     WHERE NOT queue_settings.is_paused`,
    [change.userId, change.reason],
  );
  return paused === 1;
}
