import { migrate, schemaProblem } from '../../src/db/migrate';
import { createDatabase, databaseUrl, runAsAdmin } from '../support/database';
import { Client } from 'pg';

describe('migrate', () => {
  const name = 'test_migrate';
  const config = { connectionString: databaseUrl(name), ssl: false as const, poolMax: 1 };
  const client = new Client(config.connectionString);

  beforeAll(async () => {
    await createDatabase(name, 'template1');
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await runAsAdmin(`DROP DATABASE ${name} WITH (FORCE)`);
  });

  it('says what is missing before the first run', async () => {
    expect(await schemaProblem(client)).toMatch(/lacks \d+ migration/);
  });

  it('applies each file once when many start at once', async () => {
    const runs = await Promise.all(Array.from({ length: 5 }, () => migrate(config)));
    const appliedBy = runs.filter((names) => names.length > 0);
    expect(appliedBy).toHaveLength(1);
    const { rows } = await client.query('SELECT name FROM schema_migrations ORDER BY name');
    expect(rows.map((row: { name: string }) => row.name)).toEqual(appliedBy[0]);
    expect(await schemaProblem(client)).toBeNull();
  });

  it('refuses a file that was edited after it had been applied', async () => {
    await client.query(`UPDATE schema_migrations SET checksum = 'other' WHERE name LIKE '%people%'`);
    await expect(migrate(config)).rejects.toThrow(/was edited/);
    expect(await schemaProblem(client)).toMatch(/was edited/);
  });

  it('refuses a schema that is newer than the code', async () => {
    await client.query(
      `INSERT INTO schema_migrations (name, checksum) VALUES ('00000000000000_future.sql', 'x')`,
    );
    expect(await schemaProblem(client)).toMatch(/newer than the code/);
  });
});
