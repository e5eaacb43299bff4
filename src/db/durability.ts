import { z } from 'zod';
import { logger } from '../utils/logger';
import { type Db, queryRow } from './query';

/**
 * Null when a COMMIT on this connection is on disk before it is answered. A pooler in between can swallow the setting we
 * connect with, and then a 200 to Meta would promise too much.
 */
export async function durabilityProblem(db: Db): Promise<string | null> {
  const { commit, fsync } = await queryRow(
    db,
    `SELECT current_setting('synchronous_commit') AS commit, current_setting('fsync') AS fsync`,
    [],
    z.object({ commit: z.string(), fsync: z.string() }),
  );
  if (fsync === 'off') logger.warn('PostgreSQL runs with fsync = off: a power failure can lose everything');
  return commit === 'off'
    ? 'The database answers a COMMIT before it is on disk (synchronous_commit = off). Connect without the pooler that swallows our settings, or set it to on.'
    : null;
}
