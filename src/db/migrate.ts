import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { z } from 'zod';
import { type DatabaseConfig, loadDatabaseConfig } from '../config';
import { developmentEnvironment } from '../dev/environment';
import { connectionOptions } from './pool';
import { type Db, queryRows } from './query';

const MIGRATIONS_DIR = path.resolve(__dirname, '../../migrations');

/** Any fixed number: one migration at a time per database. */
const LOCK_KEY = '7236401994';
const LOCK_WAIT_MS = 120_000;

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

const AppliedSchema = z.object({ name: z.string(), checksum: z.string() });
type Applied = z.infer<typeof AppliedSchema>;

/**
 * Applies what is missing, each file in its own transaction; any number of processes may call it at once.
 * @returns the names of the files applied by this call, in order
 * @throws Error when an applied file was edited or removed, or a file fails (nothing of that file stays)
 */
export async function migrate(database: DatabaseConfig): Promise<string[]> {
  const client = new Client({
    ...connectionOptions(database),
    application_name: 'insta-connect-demo migrate',
    connectionTimeoutMillis: 5_000,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await takeLock(client);
    await client.query(`
      CREATE TABLE IF NOT EXISTS schema_migrations (
        name text PRIMARY KEY,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
      )`);
    const pending = pendingMigrations(await readMigrations(), await listApplied(client));
    for (const migration of pending) await apply(client, migration);
    return pending.map((migration) => migration.name);
  } finally {
    await client.end();
  }
}

/** Null when the schema is exactly the one this code was written for, else one sentence saying what to do. */
export async function schemaProblem(db: Db): Promise<string | null> {
  const ledger: { rows: { exists: boolean }[] } = await db.query(
    `SELECT to_regclass('schema_migrations') IS NOT NULL AS exists`,
  );
  const applied = ledger.rows[0]?.exists === true ? await listApplied(db) : [];
  try {
    const pending = pendingMigrations(await readMigrations(), applied);
    return pending.length === 0
      ? null
      : `The database lacks ${pending.length} migration(s). Run: npm run migrate`;
  } catch (error) {
    return (error as Error).message;
  }
}

async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(MIGRATIONS_DIR)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = (await readFile(path.join(MIGRATIONS_DIR, name), 'utf8')).replaceAll('\r\n', '\n');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

function listApplied(db: Db): Promise<Applied[]> {
  return queryRows(db, 'SELECT name, checksum FROM schema_migrations ORDER BY name', [], AppliedSchema);
}

function pendingMigrations(files: Migration[], applied: Applied[]): Migration[] {
  for (const { name, checksum } of applied) {
    const file = files.find((candidate) => candidate.name === name);
    if (file === undefined)
      throw new Error(
        `The database has the migration ${name}, which this version does not know: it is newer than the code.`,
      );
    if (file.checksum !== checksum)
      throw new Error(`The migration ${name} was edited after it had been applied.`);
  }
  return files.filter((file) => !applied.some(({ name }) => name === file.name));
}

/**
 * Polled, because a session that waits inside pg_advisory_lock() holds a snapshot, with which a CREATE INDEX
 * CONCURRENTLY in the holder would deadlock. The lock goes with the session, also after a kill -9.
 */
async function takeLock(client: Client): Promise<void> {
  await client.query(`SET lock_timeout = '5s'`);
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [
      LOCK_KEY,
    ]);
    if (rows[0]?.taken === true) return;
    if (Date.now() > deadline) throw new Error('Another migration has been running for two minutes.');
    await sleep(100);
  }
}

async function apply(client: Client, { name, sql, checksum }: Migration): Promise<void> {
  try {
    await client.query('BEGIN');
    await client.query(sql);
    await client.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
}

async function main(): Promise<void> {
  const development = await developmentEnvironment(process.env, { isTool: true });
  try {
    const database = loadDatabaseConfig(development.env);
    const applied = await migrate(database);
    const { host, pathname } = new URL(database.connectionString);
    process.stdout.write(`Database ${pathname.slice(1)} at ${host}\n`);
    process.stdout.write(
      applied.length === 0
        ? 'The schema is up to date.\n'
        : `Applied:\n${applied.map((name) => `  ${name}\n`).join('')}`,
    );
  } finally {
    await development.stop();
  }
}

if (require.main === module) {
  main().catch((error: unknown) => {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  });
}
