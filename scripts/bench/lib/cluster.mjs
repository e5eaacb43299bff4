import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../../dist/dev/embeddedPostgres.js';
import { ensureDatabase } from '../../../dist/dev/ensureDatabase.js';
import { loadDatabaseConfig } from '../../../dist/config.js';
import { migrate } from '../../../dist/db/migrate.js';

export const ROOT = path.resolve(import.meta.dirname, '../../..');
const DATA_DIR = path.join(ROOT, '.data/bench');

/** A cluster of this run alone, which goes with it; what killed runs left is removed. */
export async function startThrowAwayCluster() {
  fs.mkdirSync(DATA_DIR, { recursive: true });
  for (const name of fs.readdirSync(DATA_DIR)) {
    const pid = /^run-(\d+)/.exec(name)?.[1];
    if (pid !== undefined && !fs.existsSync(`/proc/${pid}`))
      fs.rmSync(path.join(DATA_DIR, name), { recursive: true });
  }
  const cluster = await startCluster(`run-${process.pid}`);
  return {
    ...cluster,
    async stop() {
      await cluster.stop();
      for (const name of fs.readdirSync(DATA_DIR))
        if (name.startsWith(`run-${process.pid}`)) fs.rmSync(path.join(DATA_DIR, name), { recursive: true });
    },
  };
}

/** A PostgreSQL as `npm start` would start it: everything is flushed to disk, nothing else is tuned. */
export async function startCluster(name) {
  const server = await startEmbeddedPostgres({ dataDir: path.join(DATA_DIR, name) });
  let copies = 0;
  return {
    urlOf: server.urlOf,
    /** Creates a database with the project's own schema and fills it. */
    async createDatabase(databaseName, fill = () => undefined) {
      await ensureDatabase(server.urlOf('postgres'), databaseName);
      const url = server.urlOf(databaseName);
      await migrate(loadDatabaseConfig({ DATABASE_URL: url }));
      return fill(url);
    },
    /**
     * Calls `work` with the address of a copy that nobody else sees and that is dropped afterwards: every round of every
     * contestant starts with the same rows and with nothing left to write from the round before.
     */
    async withCopyOf(databaseName, work) {
      const copy = `copy_${++copies}`;
      await rows(server.urlOf('postgres'), `CREATE DATABASE ${copy} TEMPLATE ${databaseName}`);
      await rows(server.urlOf('postgres'), 'CHECKPOINT');
      try {
        return await work(server.urlOf(copy));
      } finally {
        await rows(server.urlOf('postgres'), `DROP DATABASE ${copy} WITH (FORCE)`);
      }
    },
    async version() {
      const [{ version }] = await rows(server.urlOf('postgres'), 'SELECT version()');
      return /^PostgreSQL [\d.]+/.exec(version)?.[0] ?? version;
    },
    /** The parent of all its processes. */
    async pid() {
      const [{ pid }] = await rows(
        server.urlOf('postgres'),
        `SELECT pg_read_file('postmaster.pid', 0, 20) AS pid`,
      );
      return Number.parseInt(pid, 10);
    },
    stop: () => server.stop(),
  };
}

/** Runs one statement, or several without parameters, on a connection of its own; the rows of the (last) answer. */
export async function rows(url, sql, params = []) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const results = [await client.query(sql, params)].flat();
    return results.at(-1).rows;
  } finally {
    await client.end();
  }
}
