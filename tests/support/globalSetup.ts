import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { migrate } from '../../src/db/migrate';
import { startEmbeddedPostgres } from '../../src/dev/embeddedPostgres';
import { ensureDatabase } from '../../src/dev/ensureDatabase';

const PREFIX = 'insta-connect-demo-test-';

/** One throw-away cluster for the run, and in it a migrated template that each test file copies. */
export default async function globalSetup(): Promise<void> {
  removeLeftovers();
  const base = fs.mkdtempSync(path.join(os.tmpdir(), `${PREFIX}${process.pid}-`));
  const postgres = await startEmbeddedPostgres({ dataDir: path.join(base, 'postgres'), isEphemeral: true });
  const stopDatabase = async () => {
    await postgres.stop();
    fs.rmSync(base, { recursive: true, force: true });
  };
  Object.assign(globalThis, { stopDatabase });
  await ensureDatabase(postgres.urlOf('postgres'), 'template_app');
  await migrate({ connectionString: postgres.urlOf('template_app'), ssl: false, poolMax: 1 });
  const admin = new Client(postgres.urlOf('postgres'));
  await admin.connect();
  await admin.query('ALTER DATABASE template_app WITH IS_TEMPLATE true ALLOW_CONNECTIONS false');
  await admin.end();
  process.env['TEST_ADMIN_URL'] = postgres.urlOf('postgres'); // inherited by the workers
}

/** A run that was killed leaves its directory, named after its process; its server ended with it. */
function removeLeftovers(): void {
  for (const name of fs.readdirSync(os.tmpdir())) {
    const [, pid] = new RegExp(`^${PREFIX}(\\d+)-`).exec(name) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) {
      fs.rmSync(path.join(os.tmpdir(), name), { recursive: true, force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
