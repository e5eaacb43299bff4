import fs from 'node:fs';
import path from 'node:path';
import { ConfigError, EnvironmentSchema, loadConfig } from '../src/config';

const GOOD = {
  NODE_ENV: 'production',
  BASE_URL: 'https://insta.shop.test/',
  DATABASE_URL: 'postgres://insta_app:pw@localhost:5432/insta_connect_demo',
  APP_ID: '512004470011223',
  APP_SECRET: '0f6a2c41b7d94e58a3c1d2e3f4051627',
  SESSION_SECRET: 'kV2mR8xT4bN6qW1zY5cJ7dL9fH3gP0sA',
  OAUTH_STATE_SECRET: 'aS0pH3gL9fJ7dC5yZ1wQ6nB4tX8rM2vK',
  VERIFY_TOKEN: 'c0ffee1234abcd5678ef',
  TOKEN_KEYS: 'k1:q83vASNFZ4mrze8BI0Vniavd7wEjRWeJq83vASNFZ4k=',
};

const problemsOf = (env: Record<string, string | undefined>): readonly string[] => {
  try {
    loadConfig({ ...GOOD, ...env });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
};

describe('loadConfig', () => {
  it('takes a complete production environment, and derives the rest', () => {
    expect(loadConfig(GOOD)).toMatchObject({
      isProduction: true,
      baseUrl: 'https://insta.shop.test',
      oauthRedirectUri: 'https://insta.shop.test/oauth/callback',
      scheduler: 'external',
      bcryptRounds: 12,
      meta: { graphVersion: 'v26.0', graphBase: 'https://graph.facebook.com' },
    });
  });

  it('lists every problem at once, each with its remedy', () => {
    const problems = problemsOf({
      DATABASE_URL: '',
      APP_SECRET: '',
      SESSION_SECRET: 'short',
      OAUTH_STATE_SECRET: undefined,
      VERIFY_TOKEN: 'change-me-change-me-change-me',
      TOKEN_KEYS: 'k1:abc',
      PORT: '99999',
      BASE_URL: 'http://insta.shop.test',
      BCRYPT_ROUNDS: '4',
    });
    const named = problems.map((problem) => problem.split(' ')[0]);
    expect(named.sort()).toEqual(
      [
        'APP_SECRET',
        'BASE_URL',
        'BCRYPT_ROUNDS',
        'DATABASE_URL',
        'OAUTH_STATE_SECRET',
        'PORT',
        'SESSION_SECRET',
        'TOKEN_KEYS',
        'VERIFY_TOKEN',
      ].sort(),
    );
    expect(problems.join('\n')).toContain('openssl rand -base64 48');
  });

  it.each<[string, Record<string, string>]>([
    ['a sample secret', { SESSION_SECRET: 'change-me-to-something-long-and-random' }],
    ['the sandbox’s secret', { APP_SECRET: 'demo-meta-app-secret' }],
    ['one letter repeated', { OAUTH_STATE_SECRET: 'a'.repeat(40) }],
    ['a key of zeros', { TOKEN_KEYS: `k1:${Buffer.alloc(32).toString('base64')}` }],
    ['a key of 31 bytes', { TOKEN_KEYS: `k1:${Buffer.alloc(31, 'abcdefghijk').toString('base64')}` }],
    ['two keys of one name', { TOKEN_KEYS: `${GOOD.TOKEN_KEYS},${GOOD.TOKEN_KEYS}` }],
    ['a callback on another host', { OAUTH_REDIRECT_URI: 'https://other.shop.test/oauth/callback' }],
    ['a base with a path', { BASE_URL: 'https://insta.shop.test/app' }],
    ['a sandbox as Meta', { META_GRAPH_BASE: 'http://localhost:4900/graph.facebook.com' }],
    ['a database that is none', { DATABASE_URL: 'mysql://localhost/x' }],
    ['a version without v', { GRAPH_API_VERSION: '26.0' }],
  ])('refuses %s in production', (_name, env) => {
    expect(problemsOf(env)).toHaveLength(1);
  });

  it('keeps events at least as long as their payloads, and those longer than Meta repeats', () => {
    expect(loadConfig(GOOD).retention).toEqual({ payloadDays: 30, eventDays: 90 });
    const problem = 'RETENTION_EVENT_DAYS (90) is less than RETENTION_PAYLOAD_DAYS (120): raise it';
    expect(problemsOf({ RETENTION_PAYLOAD_DAYS: '120' })).toEqual([expect.stringContaining(problem)]);
    expect(problemsOf({ RETENTION_PAYLOAD_DAYS: '7' })).toEqual([
      'RETENTION_PAYLOAD_DAYS must be at least 8',
    ]);
    expect(problemsOf({ RETENTION_PAYLOAD_DAYS: '60', RETENTION_EVENT_DAYS: '60' })).toEqual([]);
  });

  it('takes an empty setting for a missing one', () => {
    expect(loadConfig({ ...GOOD, LOG_DIR: '', OPERATOR_TOKEN: ' ', PORT: '' })).toMatchObject({
      logDir: null,
      operatorToken: null,
      port: 3000,
    });
  });

  it('builds the address from its parts', () => {
    const { database } = loadConfig({
      ...GOOD,
      DATABASE_URL: '',
      DB_HOST: 'db.internal',
      DB_USER: 'insta_app',
      DB_PASSWORD: 'p@ss/word',
      DB_SSL: 'verify',
    });
    expect(database).toMatchObject({
      connectionString: 'postgres://insta_app:p%40ss%2Fword@db.internal:5432/insta_connect_demo',
      ssl: { rejectUnauthorized: true },
    });
  });

  it('keeps rotated secrets in order', () => {
    const config = loadConfig({
      ...GOOD,
      SESSION_SECRET: `${GOOD.SESSION_SECRET}, ${GOOD.OAUTH_STATE_SECRET}`,
      APP_SECRET: `${GOOD.APP_SECRET},11f6a2c41b7d94e58a3c1d2e3f405162`,
    });
    expect(config.sessionSecrets).toEqual([GOOD.SESSION_SECRET, GOOD.OAUTH_STATE_SECRET]);
    expect(config.meta.appSecrets).toHaveLength(2);
  });

  it('is frozen', () => {
    expect(Object.isFrozen(loadConfig(GOOD))).toBe(true);
  });
});

it('.env.example explains every setting, and no other', () => {
  const text = fs.readFileSync(path.resolve(__dirname, '../.env.example'), 'utf8');
  const names = [...text.matchAll(/^(?:# )?([A-Z_]+)=/gm)].map(([, name]) => name);
  expect(names.sort()).toEqual([...Object.keys(EnvironmentSchema.shape), 'DATA_DIR'].sort());
  // Copied for systemd it must not turn production into development.
  expect(text).not.toMatch(/^NODE_ENV=/m);
});
