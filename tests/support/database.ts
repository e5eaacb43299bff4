import { randomBytes } from 'node:crypto';
import { Client, Pool } from 'pg';
import { type DatabaseConfig } from '../../src/config';

/** A database of its own for the calling test file, made from the migrated template; dropped at its end. */
export function useDatabase(): { config: DatabaseConfig; pool: Pool } {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const config: DatabaseConfig = { connectionString: databaseUrl(name), ssl: false, poolMax: 10 };
  const pool = new Pool({ connectionString: config.connectionString, max: 5 });
  pool.on('error', () => undefined);
  beforeAll(() => createDatabase(name));
  afterAll(async () => {
    await pool.end();
    await runAsAdmin(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  });
  return { config, pool };
}

export async function createDatabase(name: string, template = 'template_app'): Promise<void> {
  // Copying needs a moment in which nobody else reads the template.
  for (let attempt = 1; ; attempt++) {
    try {
      await runAsAdmin(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY file_copy`);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== '55006' || attempt === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

export function databaseUrl(name: string): string {
  return process.env['TEST_ADMIN_URL']!.replace(/\/postgres$/, `/${name}`);
}

export async function runAsAdmin(sql: string): Promise<void> {
  const client = new Client(process.env['TEST_ADMIN_URL']);
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
