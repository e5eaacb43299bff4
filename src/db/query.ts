import { type Pool, type PoolClient, type QueryResult } from 'pg';
import { type z } from 'zod';

/** The pool, or the client of a running transaction: models take either, so the caller decides about the transaction. */
export type Db = Pick<Pool | PoolClient, 'query'>;

/** @throws Error unless exactly one row comes back; ZodError when the row is not what the schema says */
export async function queryRow<T>(db: Db, sql: string, params: unknown[], schema: z.ZodType<T>): Promise<T> {
  const row = await queryOptionalRow(db, sql, params, schema);
  if (row === null) throw new Error('Expected one row, got none.');
  return row;
}

/** Null when there is none. @throws Error on more than one row */
export async function queryOptionalRow<T>(
  db: Db,
  sql: string,
  params: unknown[],
  schema: z.ZodType<T>,
): Promise<T | null> {
  const rows = await queryRows(db, sql, params, schema);
  if (rows.length > 1) throw new Error(`Expected at most one row, got ${rows.length}.`);
  return rows[0] ?? null;
}

export async function queryRows<T>(
  db: Db,
  sql: string,
  params: unknown[],
  schema: z.ZodType<T>,
): Promise<T[]> {
  const result: QueryResult<Record<string, unknown>> = await db.query(sql, params);
  return result.rows.map((row) => schema.parse(row));
}

/** @returns how many rows were changed */
export async function execute(db: Db, sql: string, params: unknown[] = []): Promise<number> {
  const result = await db.query(sql, params);
  return result.rowCount ?? 0;
}

/** Commits what `work` did, or nothing of it. A connection that broke is not put back into the pool. */
export async function transaction<T>(pool: Pool, work: (db: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // The pool listens to idle connections only: one that is lost while it is ours would end the process.
  const onLoss = (error: Error) => {
    broken = error;
  };
  client.on('error', onLoss);
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((rollbackError: unknown) => {
      broken = rollbackError as Error;
    });
    throw error;
  } finally {
    client.off('error', onLoss);
    client.release(broken);
  }
}

/**
 * For the few statements that run thousands of times a minute: each connection parses and plans it once. The text of a
 * name must never change.
 */
export async function queryPrepared<T>(
  db: Db,
  statement: { name: string; text: string },
  params: unknown[],
  schema: z.ZodType<T>,
): Promise<T[]> {
  const result: QueryResult<Record<string, unknown>> = await db.query({ ...statement, values: params });
  return result.rows.map((row) => schema.parse(row));
}
