import { Pool, type PoolConfig } from 'pg';
import { type DatabaseConfig } from '../config';
import { logger } from '../utils/logger';

/**
 * Bounds that keep a slow or hung database from hanging us. The client-side `query_timeout` is needed because a server
 * that is stopped cannot time anything out itself.
 * @see https://node-postgres.com/apis/pool
 */
const LIMITS = {
  connectionTimeoutMillis: 2_000,
  statement_timeout: 3_000,
  lock_timeout: 2_000,
  idle_in_transaction_session_timeout: 10_000,
  query_timeout: 4_000,
  keepAlive: true,
} satisfies PoolConfig;

export interface PoolOptions {
  max?: number;
  /**
   * False: a COMMIT is answered before it is on disk. Nothing is ever half there, but a crash of PostgreSQL takes the
   * last moments back: only for work that is then done again.
   */
  isDurable?: boolean;
}

/** A pool whose sessions speak UTC and, unless told otherwise, answer a COMMIT when it is on disk. `name` shows in pg_stat_activity. */
export function createPool(
  database: DatabaseConfig,
  name: string,
  { max = database.poolMax, isDurable = true }: PoolOptions = {},
): Pool {
  const pool = new Pool({
    ...connectionOptions(database, isDurable),
    ...LIMITS,
    application_name: `insta-connect-demo ${name}`,
    max,
  });
  // Without a listener, an idle connection that the server closes ends the process.
  pool.on('error', (error) =>
    logger.warn('idle database connection lost', { pool: name, error: error.message }),
  );
  return pool;
}

/** How to reach the database, for a Pool and for a Client of its own (LISTEN, migrations). */
export function connectionOptions(database: DatabaseConfig, isDurable = true) {
  return {
    connectionString: database.connectionString,
    ssl: database.ssl,
    options: `-c TimeZone=UTC -c synchronous_commit=${isDurable ? 'on' : 'off'}`,
  };
}
