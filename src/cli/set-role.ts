import { loadDatabaseConfig } from '../config';
import { createPool } from '../db/pool';
import { developmentEnvironment } from '../dev/environment';
import { setUserRole } from '../models/users';

const USAGE = 'Usage: npm run set-role -- EMAIL operator|user\n';

/** Makes a registered person an operator, or an ordinary user again. There is no page for it on purpose. */
async function main([email, role]: string[]): Promise<void> {
  if (email === undefined || (role !== 'operator' && role !== 'user')) throw new Error(USAGE);
  const development = await developmentEnvironment(process.env, { isTool: true });
  const pool = createPool(loadDatabaseConfig(development.env), 'set-role', { max: 1 });
  try {
    if (!(await setUserRole(pool, email, role))) throw new Error(`Nobody is registered as ${email}.\n`);
    process.stdout.write(`${email} is now: ${role}\n`);
  } finally {
    await pool.end();
    await development.stop();
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write((error as Error).message);
  process.exitCode = 1;
});
