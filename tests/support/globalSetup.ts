import { execFileSync } from 'node:child_process';
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
  const base = fs.mkdtempSync(path.join(os.tmpdir(), PREFIX));
  fs.writeFileSync(path.join(base, 'pid'), String(process.pid));
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

/** A run that was killed leaves its directory; its server ended with it. */
function removeLeftovers(): void {
  for (const name of fs.readdirSync(os.tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const directory = path.join(os.tmpdir(), name);
    try {
      const pid = fs.readFileSync(path.join(directory, 'pid'), 'utf8');
      execFileSync('kill', ['-0', pid], { stdio: 'ignore' });
    } catch {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  }
}
