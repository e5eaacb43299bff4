import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { Client } from 'pg';
import { createDatabase, databaseUrl, runAsAdmin } from '../support/database';
import { endOf, makeInstallation, migrationNames, startProgram, waitUntil } from './support/processes';
import { randomBetween } from './support/random';

const made: string[] = [];
let reference: unknown;

beforeAll(async () => {
  reference = await describeDatabase(await makeDatabase('template_app'));
});
afterAll(async () => {
  for (const name of made) await runAsAdmin(`DROP DATABASE ${name} WITH (FORCE)`);
});

describe.each([
  { state: 'an empty database', existing: 0 },
  { state: 'a database of an older release', existing: 1 },
])('migrating $state', ({ existing }) => {
  it.each([3, 20])('ends well in each of %i processes at once', async (count) => {
    const database = await makeDatabase('template1');
    if (existing > 0) await migrateWithOlderRelease(database, existing);
    const endings = await Promise.all(Array.from({ length: count }, () => migrate(database).ended));
    expect(endings.filter(({ code, stderr }) => code !== 0 || stderr !== '')).toEqual([]);
    const [applied, ...idle] = endings
      .map(({ stdout }) => stdout.replace(/^Database \S+ at \S+\n/, ''))
      .sort((left, right) => right.length - left.length);
    const expected = migrationNames()
      .slice(existing)
      .map((name) => `  ${name}\n`);
    expect(applied).toBe(`Applied:\n${expected.join('')}`);
    expect(new Set(idle)).toEqual(new Set(['The schema is up to date.\n']));
    expect(await describeDatabase(database)).toEqual(reference);
  });
});

it('goes on where a kill -9 interrupted it, at whatever statement that was', async () => {
  const total = await countStatements();
  for (const killAfter of [1, randomBetween(2, total - 2), randomBetween(2, total - 2), total - 1]) {
    const database = await makeDatabase('template1');
    const statements = await slowStatements(database);
    const killed = migrate(database);
    await waitUntil('it is in the middle', async () => (await statements.count()) >= killAfter);
    killed.signal('SIGKILL');
    expect((await endOf(killed, 10)).signal).toBe('SIGKILL');
    await statements.stop();
    const endings = await Promise.all([1, 2, 3].map(() => migrate(database).ended));
    expect(endings.map(({ code }) => code)).toEqual([0, 0, 0]);
    const appliedAfterwards = endings.map(({ stdout }) => stdout).join('');
    expect(appliedAfterwards).toContain(migrationNames().at(-1)); // the first run had not got that far
    expect(await describeDatabase(database)).toEqual(reference);
  }
});

async function makeDatabase(template: string): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await createDatabase(name, template);
  made.push(name);
  return name;
}

function migrate(database: string, directory?: string) {
  return startProgram(
    'db/migrate.js',
    { NODE_ENV: 'production', DATABASE_URL: databaseUrl(database) },
    directory,
  );
}

async function migrateWithOlderRelease(database: string, migrations: number): Promise<void> {
  const { code } = await migrate(database, path.join(makeInstallation({ migrations }), 'dist')).ended;
  expect(code).toBe(0);
}

/** Delays every schema statement, and counts the begun ones in a sequence, which no rollback takes back. */
async function slowStatements(
  database: string,
): Promise<{ count: () => Promise<number>; stop: () => Promise<void> }> {
  const client = new Client(databaseUrl(database));
  client.on('error', () => undefined); // the database is dropped under it when a test fails
  await client.connect();
  await client.query(`
    CREATE SCHEMA faults;
    CREATE SEQUENCE faults.statements MINVALUE 0;
    CREATE FUNCTION faults.delay() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM nextval('faults.statements'), pg_sleep(0.01);
    END $$;
    CREATE EVENT TRIGGER delay ON ddl_command_start EXECUTE FUNCTION faults.delay()`);
  const count = async () => {
    const { rows } = await client.query<{ count: number }>(
      'SELECT (last_value + is_called::integer)::integer AS count FROM faults.statements',
    );
    return rows[0]!.count;
  };
  const stop = async () => {
    await client.query('DROP EVENT TRIGGER delay');
    await client.end();
  };
  return { count, stop };
}

/** How many schema statements a whole migration has. */
async function countStatements(): Promise<number> {
  const database = await makeDatabase('template1');
  const statements = await slowStatements(database);
  expect((await migrate(database).ended).code).toBe(0);
  const count = await statements.count();
  await statements.stop();
  return count;
}

/** What pg_dump --schema-only would tell, and the ledger, as something to compare. */
async function describeDatabase(database: string): Promise<unknown> {
  const client = new Client(databaseUrl(database));
  await client.connect();
  const lines = async (sql: string) =>
    (await client.query<{ line: string }>(sql)).rows.map(({ line }) => line);
  try {
    return {
      ledger: await lines(`SELECT name || ' ' || checksum AS line FROM schema_migrations ORDER BY name`),
      columns: await lines(
        `SELECT concat_ws(' ', class.relname, class.relkind, attribute.attnum, attribute.attname,
                          format_type(attribute.atttypid, attribute.atttypmod), attribute.attnotnull, attribute.attidentity,
                          attribute.attgenerated, pg_get_expr(preset.adbin, preset.adrelid)) AS line
         FROM pg_class class
         JOIN pg_attribute attribute ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
         LEFT JOIN pg_attrdef preset ON preset.adrelid = class.oid AND preset.adnum = attribute.attnum
         WHERE class.relnamespace = 'public'::regnamespace
         ORDER BY class.relname, attribute.attnum`,
      ),
      constraints: await lines(
        `SELECT concat_ws(' ', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid)) AS line
         FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace
         ORDER BY 1`,
      ),
      indexes: await lines(
        `SELECT concat_ws(' ', indisvalid, pg_get_indexdef(indexrelid)) AS line
         FROM pg_index
         JOIN pg_class class ON class.oid = indexrelid
         WHERE class.relnamespace = 'public'::regnamespace
         ORDER BY 1`,
      ),
      routines: await lines(
        `SELECT pg_get_functiondef(oid) AS line
         FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a'
         ORDER BY 1`,
      ),
      triggers: await lines(
        `SELECT pg_get_triggerdef(trigger.oid) AS line
         FROM pg_trigger trigger
         JOIN pg_class class ON class.oid = trigger.tgrelid
         WHERE class.relnamespace = 'public'::regnamespace AND NOT trigger.tgisinternal
         ORDER BY 1`,
      ),
    };
  } finally {
    await client.end();
  }
}
