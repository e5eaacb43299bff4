import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort, itWith, run } from '../deploy/tools';
import { Browser } from '../support/browser';
import { createDatabase, databaseUrl, runAsAdmin, useDatabase } from '../support/database';
import {
  type Ending,
  endOf,
  makeInstallation,
  settings,
  startProgram,
  startServer,
  waitUntil,
} from './support/processes';

const { pool, config } = useDatabase();

/** A complete production environment; a test spoils what it is about. */
function production(env: Record<string, string> = {}): Record<string, string | undefined> {
  const secret = () => randomBytes(24).toString('hex');
  return {
    ...settings(config.connectionString),
    NODE_ENV: 'production',
    LOG_LEVEL: 'info',
    BASE_URL: 'https://insta.test',
    META_GRAPH_BASE: 'https://127.0.0.1:9',
    META_DIALOG_BASE: 'https://127.0.0.1:9',
    APP_SECRET: secret(),
    INSTAGRAM_APP_SECRET: secret(),
    VERIFY_TOKEN: secret(),
    SESSION_SECRET: secret(),
    OAUTH_STATE_SECRET: secret(),
    TOKEN_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    ...env,
  };
}

/** Starts a server that must not start. @returns its lines on stderr */
async function refusedStart(env: Record<string, string | undefined>): Promise<string[]> {
  const port = env['PORT'] ?? String(await freePort());
  const ending: Ending = await endOf(startProgram('server.js', { ...env, PORT: port }), 10);
  expect(ending).toMatchObject({ code: 1, signal: null });
  expect(ending.stdout).not.toMatch(/listening|is running/);
  return ending.stderr.trimEnd().split('\n');
}

describe('a server that cannot do its work', () => {
  it('starts in production when nothing is wrong', async () => {
    const server = await startServer(production());
    const health = await fetch(`${server.url}/health`);
    expect(health.status).toBe(200);
    server.signal('SIGTERM');
    expect(await endOf(server, 10)).toMatchObject({ code: 0, stderr: '' });
  });

  it.each(['development', 'production'])('names the port that is taken (%s)', async (environment) => {
    const other = net.createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const port = String((other.address() as AddressInfo).port);
    const env = environment === 'production' ? production() : settings(config.connectionString);
    try {
      expect(await refusedStart({ ...env, PORT: port })).toEqual([
        expect.stringContaining(`Port ${port} is taken`),
      ]);
    } finally {
      other.close();
    }
  });

  it.each(['development', 'production'])('names the database that is down (%s)', async (environment) => {
    const port = await freePort();
    const env = environment === 'production' ? production() : settings(config.connectionString);
    expect(await refusedStart({ ...env, DATABASE_URL: `postgres://nobody@127.0.0.1:${port}/none` })).toEqual([
      expect.stringContaining(`127.0.0.1:${port}`),
    ]);
  });

  it('lists every missing setting at once in production', async () => {
    const [headline, ...problems] = await refusedStart({ NODE_ENV: 'production' });
    expect(headline).toBe('Invalid configuration:');
    for (const name of [
      'DATABASE_URL',
      'BASE_URL',
      'APP_ID',
      'APP_SECRET',
      'SESSION_SECRET',
      'OAUTH_STATE_SECRET',
      'VERIFY_TOKEN',
      'TOKEN_KEYS',
    ])
      expect(problems).toContainEqual(expect.stringMatching(new RegExp(`^  - ${name} .*is missing: `)));
  });

  it.each<[string, Record<string, string>, RegExp[]]>([
    ['an empty session secret', { SESSION_SECRET: '' }, [/SESSION_SECRET is missing/]],
    ['a short session secret', { SESSION_SECRET: 'k3Zx9' }, [/SESSION_SECRET is too short/]],
    [
      'a sample session secret',
      { SESSION_SECRET: 'change-me-to-a-long-random-value-please' },
      [/SESSION_SECRET is a sample value/],
    ],
    ['an empty app secret', { APP_SECRET: '' }, [/APP_SECRET is missing/]],
    ['a list of no app secrets', { APP_SECRET: ' , ' }, [/APP_SECRET is missing/]],
    ["the sandbox's app secret", { APP_SECRET: 'demo-meta-app-secret' }, [/APP_SECRET is a sample value/]],
    ['a token key of 16 bytes', { TOKEN_KEYS: 'k1:AAECAwQFBgcICQoLDA0ODw==' }, [/TOKEN_KEYS entry 1/]],
    [
      'a token key of zeros',
      { TOKEN_KEYS: `k1:${Buffer.alloc(32).toString('base64')}` },
      [/TOKEN_KEYS entry 1 is not random/],
    ],
    ['no token key', { TOKEN_KEYS: '' }, [/TOKEN_KEYS is missing/]],
    [
      'three of them together',
      { SESSION_SECRET: 'short', APP_SECRET: '', TOKEN_KEYS: 'nonsense' },
      [/APP_SECRET is missing/, /SESSION_SECRET is too short/, /TOKEN_KEYS entry 1/],
    ],
  ])('refuses %s in production, and says only that', async (_name, env, problems) => {
    const [headline, ...lines] = await refusedStart(production(env));
    expect(headline).toBe('Invalid configuration:');
    expect(lines).toHaveLength(problems.length);
    for (const problem of problems) expect(lines).toContainEqual(expect.stringMatching(problem));
  });

  it('names the command that brings an older schema up to date', async () => {
    const name = `${new URL(config.connectionString).pathname.slice(1)}_old`;
    await createDatabase(name, 'template1');
    const oldRelease = path.join(makeInstallation({ migrations: 1 }), 'dist');
    const env = production({ DATABASE_URL: databaseUrl(name) });
    expect(await startProgram('db/migrate.js', env, oldRelease).ended).toMatchObject({ code: 0 });
    expect(await refusedStart(env)).toEqual([expect.stringContaining('Run: npm run migrate')]);
    await runAsAdmin(`DROP DATABASE ${name} WITH (FORCE)`);
  });

  it('refuses a schema that is newer than itself', async () => {
    await pool.query(
      `INSERT INTO schema_migrations (name, checksum) VALUES ('99990101000000_future.sql', 'x')`,
    );
    expect(await refusedStart(production())).toEqual([expect.stringContaining('newer than the code')]);
    await pool.query(`DELETE FROM schema_migrations WHERE name = '99990101000000_future.sql'`);
  });
});

describe('a fresh copy with nothing configured', () => {
  it('survives a kill -9 with its people and sessions, and ends with its database on Ctrl-C', async () => {
    const root = makeInstallation();
    const env = { PORT: String(await freePort()) };
    const dist = path.join(root, 'dist');
    const killed = await startServer(env, dist);
    const browser = new Browser(killed.url);
    const { email, password } = await browser.register();
    killed.signal('SIGKILL');
    await killed.ended;

    const server = await startServer(env, dist);
    expect(await browser.get('/dashboard')).toMatchObject({ status: 200, path: '/dashboard' });
    const later = new Browser(server.url);
    expect((await later.post('/auth/login', { email, password })).path).not.toMatch(/login/);
    expect((await later.json('GET', '/auth/status')).body).toMatchObject({
      authenticated: true,
      user: { email },
    });

    const database = databasePid(root);
    expect(isAlive(database)).toBe(true);
    server.signal('SIGINT');
    expect(await endOf(server, 15)).toMatchObject({ code: 0 });
    expect(isAlive(database)).toBe(false);
  });

  itWith('pgrep')('waits for the database of the killed one, which is still shutting down', async () => {
    const root = makeInstallation();
    const env = { PORT: String(await freePort()) };
    const dist = path.join(root, 'dist');
    const killed = await startServer(env, dist);
    const checkpointer = checkpointerOf(databasePid(root));
    process.kill(checkpointer, 'SIGSTOP'); // without it no shutdown ends
    try {
      killed.signal('SIGKILL');
      await waitUntil('the database shuts down', () => isShuttingDown(root));
    } catch (error) {
      process.kill(checkpointer, 'SIGCONT');
      throw error;
    }
    const goOn = sleep(1500).then(() => process.kill(checkpointer, 'SIGCONT'));
    const [server] = await Promise.all([startServer(env, dist), goOn]);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    server.signal('SIGINT');
    expect(await endOf(server, 15)).toMatchObject({ code: 0 });
  });

  it('leaves no database behind when it is killed and not started again', async () => {
    const root = makeInstallation();
    const server = await startServer({ PORT: String(await freePort()) }, path.join(root, 'dist'));
    const database = databasePid(root);
    expect(isAlive(database)).toBe(true);
    server.signal('SIGKILL');
    await waitUntil('the database is gone', () => !isAlive(database), 15);
  });
});

function databasePid(root: string): number {
  return Number(postmasterLines(root)[0]);
}

function postmasterLines(root: string): string[] {
  return fs.readFileSync(path.join(root, '.data/postgres/postmaster.pid'), 'utf8').split('\n');
}

function checkpointerOf(postmaster: number): number {
  return Number(run('pgrep', ['-P', String(postmaster), '-f', 'checkpointer']).stdout);
}

/** PostgreSQL says so before it asks who is there. */
async function isShuttingDown(root: string): Promise<boolean> {
  const client = new Client(`postgres://anybody@127.0.0.1:${postmasterLines(root)[3]}/any`);
  try {
    await client.connect();
    return false;
  } catch (error) {
    return (error as Error).message.includes('shutting down');
  } finally {
    await client.end().catch(() => undefined);
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
