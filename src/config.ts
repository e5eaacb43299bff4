import { z } from 'zod';

/**
 * Everything the process is told from outside, checked once and frozen. This is the only reader of `process.env`
 * (the development start in src/dev adds generated values before it is read).
 */
export interface Config {
  readonly environment: 'development' | 'test' | 'production';
  readonly isProduction: boolean;
  readonly host: string;
  readonly port: number;
  /** Public origin without a trailing slash; links, cookies and the redirect URI derive from it, never from `Host`. */
  readonly baseUrl: string;
  readonly database: DatabaseConfig;
  readonly meta: MetaConfig;
  readonly oauthRedirectUri: string;
  readonly oauthStateSecret: string;
  /** The first signs, all verify. */
  readonly sessionSecrets: readonly string[];
  readonly verifyToken: string;
  /** The first encrypts, all decrypt. */
  readonly tokenKeys: readonly TokenKey[];
  readonly bcryptRounds: number;
  readonly webhook: {
    readonly batchSize: number;
    readonly leaseSeconds: number;
    readonly lingerSeconds: number;
  };
  readonly tokenRefreshThresholdDays: number;
  /** Days since receipt; events are kept at least as long as their payloads. */
  readonly retention: { readonly payloadDays: number; readonly eventDays: number };
  readonly scheduler: 'inline' | 'external';
  readonly operatorToken: string | null;
  readonly logLevel: LogLevel;
  readonly logDir: string | null;
  readonly rateLimitScale: number;
}

export interface DatabaseConfig {
  readonly connectionString: string;
  readonly ssl: false | { rejectUnauthorized: boolean };
  readonly poolMax: number;
}

export interface MetaConfig {
  readonly appId: string;
  /** The first is used for calls, all verify signatures. */
  readonly appSecrets: readonly string[];
  readonly instagramAppSecrets: readonly string[];
  readonly graphVersion: string;
  readonly dialogBase: string;
  readonly graphBase: string;
}

export interface TokenKey {
  readonly id: string;
  readonly key: Buffer;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

/** Thrown with every problem at once, each with its remedy. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`Invalid configuration:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/** @throws ConfigError listing every problem */
export function loadConfig(env: Environment = process.env): Config {
  const problems: string[] = [];
  const values = readEnvironment(env, problems);
  const isProduction = values.NODE_ENV === 'production';
  const database = databaseConfig(values, isProduction, problems);
  const tokenKeys = parseTokenKeys(values.TOKEN_KEYS, problems);
  const baseUrl = (values.BASE_URL ?? `http://localhost:${values.PORT}`).replace(/\/+$/, '');
  const appSecrets = list(values.APP_SECRET);
  const instagramAppSecrets = list(values.INSTAGRAM_APP_SECRET);
  const sessionSecrets = list(values.SESSION_SECRET);

  required('APP_ID', values.APP_ID, 'the App ID of your app in the Meta dashboard', problems);
  checkSecrets(
    'APP_SECRET',
    appSecrets,
    { minimum: 16, isProduction, remedy: 'copy the App Secret from the Meta dashboard' },
    problems,
  );
  if (values.INSTAGRAM_APP_SECRET !== undefined) {
    const remedy = 'copy the Instagram App Secret from the Meta dashboard';
    checkSecrets(
      'INSTAGRAM_APP_SECRET',
      instagramAppSecrets,
      { minimum: 16, isProduction, remedy },
      problems,
    );
  }
  const random = 'create one with: openssl rand -base64 48';
  checkSecrets('SESSION_SECRET', sessionSecrets, { minimum: 32, isProduction, remedy: random }, problems);
  checkSecrets(
    'OAUTH_STATE_SECRET',
    list(values.OAUTH_STATE_SECRET),
    { minimum: 32, isProduction, remedy: random },
    problems,
  );
  checkSecrets(
    'VERIFY_TOKEN',
    list(values.VERIFY_TOKEN),
    { minimum: 16, isProduction, remedy: 'create one with: openssl rand -hex 24' },
    problems,
  );
  if (values.OPERATOR_TOKEN !== undefined) {
    checkSecrets(
      'OPERATOR_TOKEN',
      [values.OPERATOR_TOKEN],
      { minimum: 16, isProduction, remedy: 'create one with: openssl rand -hex 24' },
      problems,
    );
  }
  if (new URL(baseUrl).pathname !== '/') problems.push('BASE_URL must be an address without a path');
  const redirectUri = values.OAUTH_REDIRECT_URI ?? `${baseUrl}/oauth/callback`;
  if (new URL(redirectUri).origin !== new URL(baseUrl).origin) {
    problems.push(
      'OAUTH_REDIRECT_URI must lie under BASE_URL: the callback needs the cookie of that address',
    );
  }
  if (values.RETENTION_EVENT_DAYS < values.RETENTION_PAYLOAD_DAYS) {
    problems.push(
      `RETENTION_EVENT_DAYS (${values.RETENTION_EVENT_DAYS}) is less than RETENTION_PAYLOAD_DAYS (${values.RETENTION_PAYLOAD_DAYS}): raise it or lower the other, an event is kept at least as long as its payload`,
    );
  }
  if (isProduction) {
    requireHttps('BASE_URL', values.BASE_URL, problems, { loopbackAllowed: true });
    for (const name of ['META_DIALOG_BASE', 'META_GRAPH_BASE'] as const) {
      requireHttps(name, values[name], problems, { loopbackAllowed: false });
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);

  return Object.freeze({
    environment: values.NODE_ENV,
    isProduction,
    host: values.HOST,
    port: values.PORT,
    baseUrl,
    database,
    meta: Object.freeze({
      appId: values.APP_ID ?? '',
      appSecrets,
      instagramAppSecrets,
      graphVersion: values.GRAPH_API_VERSION,
      dialogBase: values.META_DIALOG_BASE.replace(/\/+$/, ''),
      graphBase: values.META_GRAPH_BASE.replace(/\/+$/, ''),
    }),
    oauthRedirectUri: redirectUri,
    oauthStateSecret: values.OAUTH_STATE_SECRET ?? '',
    sessionSecrets,
    verifyToken: values.VERIFY_TOKEN ?? '',
    tokenKeys,
    bcryptRounds: values.BCRYPT_ROUNDS,
    webhook: Object.freeze({
      batchSize: values.WEBHOOK_BATCH_SIZE,
      leaseSeconds: values.WEBHOOK_LEASE_SECONDS,
      lingerSeconds: values.WEBHOOK_LINGER_SECONDS,
    }),
    tokenRefreshThresholdDays: values.TOKEN_REFRESH_THRESHOLD_DAYS,
    retention: Object.freeze({
      payloadDays: values.RETENTION_PAYLOAD_DAYS,
      eventDays: values.RETENTION_EVENT_DAYS,
    }),
    scheduler: values.SCHEDULER ?? (isProduction ? 'external' : 'inline'),
    operatorToken: values.OPERATOR_TOKEN ?? null,
    logLevel: values.LOG_LEVEL,
    logDir: values.LOG_DIR ?? null,
    rateLimitScale: values.RATE_LIMIT_SCALE,
  });
}

/** The part that migrations need; everything else may be missing. @throws ConfigError */
export function loadDatabaseConfig(env: Environment = process.env): DatabaseConfig {
  const problems: string[] = [];
  const values = readEnvironment(env, problems);
  const database = databaseConfig(values, true, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return database;
}

const url = z.url({ protocol: /^https?$/, error: 'must be an address like https://example.com' });
const whole = (min: number, max: number) =>
  z.coerce
    .number(`must be a number from ${min} to ${max}`)
    .int(`must be a whole number`)
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`);

/** All that can be set; `.env.example` explains each. */
export const EnvironmentSchema = z.object({
  NODE_ENV: z
    .enum(['development', 'test', 'production'], 'must be development, test or production')
    .default('development'),
  HOST: z.string().default('127.0.0.1'),
  PORT: whole(0, 65535).default(3000),
  BASE_URL: url.optional(),
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: 'must look like postgres://user:password@host:5432/name' })
    .optional(),
  DB_HOST: z.string().optional(),
  DB_PORT: whole(1, 65535).default(5432),
  DB_NAME: z.string().default('insta_connect_demo'),
  DB_USER: z.string().optional(),
  DB_PASSWORD: z.string().optional(),
  DB_SSL: z.enum(['false', 'true', 'verify'], 'must be false, true or verify').default('false'),
  DB_POOL_MAX: whole(1, 200).default(10),
  APP_ID: z
    .string()
    .regex(/^\d{5,20}$/, 'must be the number the Meta dashboard shows as App ID')
    .optional(),
  APP_SECRET: z.string().optional(),
  INSTAGRAM_APP_SECRET: z.string().optional(),
  OAUTH_REDIRECT_URI: url.optional(),
  OAUTH_STATE_SECRET: z.string().optional(),
  SESSION_SECRET: z.string().optional(),
  VERIFY_TOKEN: z.string().optional(),
  TOKEN_KEYS: z.string().optional(),
  GRAPH_API_VERSION: z
    .string()
    .regex(/^v\d+\.\d$/, 'must look like v26.0')
    .default('v26.0'),
  META_DIALOG_BASE: url.default('https://www.facebook.com'),
  META_GRAPH_BASE: url.default('https://graph.facebook.com'),
  BCRYPT_ROUNDS: whole(10, 16).default(12),
  WEBHOOK_BATCH_SIZE: whole(1, 1000).default(10),
  WEBHOOK_LEASE_SECONDS: whole(1, 3600).default(60),
  WEBHOOK_LINGER_SECONDS: whole(0, 3600).default(55),
  TOKEN_REFRESH_THRESHOLD_DAYS: whole(1, 59).default(7),
  // Meta repeats a delivery for up to a week.
  RETENTION_PAYLOAD_DAYS: whole(8, 3650).default(30),
  RETENTION_EVENT_DAYS: whole(8, 3650).default(90),
  SCHEDULER: z.enum(['inline', 'external'], 'must be inline or external').optional(),
  OPERATOR_TOKEN: z.string().optional(),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
  LOG_DIR: z.string().optional(),
  RATE_LIMIT_SCALE: z.coerce.number('must be a number').positive('must be more than 0').default(1),
});
type Values = z.infer<typeof EnvironmentSchema>;

/** A setting that is present but empty counts as absent: environment files and unit files often carry such lines. */
function readEnvironment(env: Environment, problems: string[]): Values {
  const known = Object.keys(EnvironmentSchema.shape);
  const given = Object.fromEntries(
    known.flatMap((name) => {
      const value = env[name]?.trim() ?? '';
      return value === '' ? [] : [[name, value] as const];
    }),
  );
  const parsed = EnvironmentSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const wrong = new Set(parsed.error.issues.map((issue) => String(issue.path[0])));
  for (const issue of parsed.error.issues) problems.push(`${String(issue.path[0])} ${issue.message}`);
  return EnvironmentSchema.parse(
    Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name))),
  );
}

function databaseConfig(values: Values, isRequired: boolean, problems: string[]): DatabaseConfig {
  let connectionString = values.DATABASE_URL ?? '';
  if (connectionString === '' && values.DB_HOST !== undefined) {
    const user = values.DB_USER === undefined ? '' : encodeURIComponent(values.DB_USER);
    const password = values.DB_PASSWORD === undefined ? '' : `:${encodeURIComponent(values.DB_PASSWORD)}`;
    const host = values.DB_HOST.includes(':') ? `[${values.DB_HOST}]` : values.DB_HOST;
    connectionString = `postgres://${user}${password}${user === '' ? '' : '@'}${host}:${values.DB_PORT}/${encodeURIComponent(values.DB_NAME)}`;
  }
  const isExplained = problems.some((problem) => problem.startsWith('DATABASE_URL '));
  if (connectionString === '' && isRequired && !isExplained) {
    problems.push(
      'DATABASE_URL (or DB_HOST, DB_NAME, DB_USER, DB_PASSWORD) is missing: say which PostgreSQL database to use',
    );
  }
  const ssl = values.DB_SSL === 'false' ? false : { rejectUnauthorized: values.DB_SSL === 'verify' };
  return Object.freeze({ connectionString, ssl, poolMax: values.DB_POOL_MAX });
}

function parseTokenKeys(value: string | undefined, problems: string[]): TokenKey[] {
  const remedy = 'create one with: echo "k1:$(openssl rand -base64 32)"';
  if (value === undefined) {
    problems.push(`TOKEN_KEYS is missing: ${remedy}`);
    return [];
  }
  const keys: TokenKey[] = [];
  for (const [index, entry] of list(value).entries()) {
    const [, id, base64] = /^([A-Za-z0-9_-]{1,20}):([A-Za-z0-9+/_-]{43}=?)$/.exec(entry) ?? [];
    const key = Buffer.from(base64 ?? '', 'base64');
    if (id === undefined || key.length !== 32)
      problems.push(`TOKEN_KEYS entry ${index + 1} is not name:base64 of 32 bytes: ${remedy}`);
    else if (new Set(key).size < 8) problems.push(`TOKEN_KEYS entry ${index + 1} is not random: ${remedy}`);
    else if (keys.some((other) => other.id === id))
      problems.push(`TOKEN_KEYS uses the name ${id} twice: give every key its own name`);
    else keys.push({ id, key });
  }
  return keys;
}

function required(name: string, value: string | undefined, remedy: string, problems: string[]): void {
  if (value === undefined && !problems.some((problem) => problem.startsWith(`${name} `)))
    problems.push(`${name} is missing: set it to ${remedy}`);
}

interface SecretRule {
  minimum: number;
  isProduction: boolean;
  remedy: string;
}

/** Words that sample files, tutorials and this repository's own sandbox use where a secret belongs. */
const SAMPLE = /change.?me|example|sample|placeholder|your[-_ ]|^demo-|^secret|password|^(.)\1+$/i;

function checkSecrets(name: string, secrets: readonly string[], rule: SecretRule, problems: string[]): void {
  if (secrets.length === 0) problems.push(`${name} is missing: ${rule.remedy}`);
  else if (secrets.some((secret) => secret.length < rule.minimum)) {
    problems.push(`${name} is too short (at least ${rule.minimum} characters): ${rule.remedy}`);
  } else if (rule.isProduction && secrets.some((secret) => SAMPLE.test(secret))) {
    problems.push(`${name} is a sample value: ${rule.remedy}`);
  }
}

function requireHttps(
  name: string,
  value: string | undefined,
  problems: string[],
  rule: { loopbackAllowed: boolean },
): void {
  if (value === undefined) {
    problems.push(`${name} is missing: set it to the public address, like https://insta.example.com`);
    return;
  }
  const { protocol, hostname } = new URL(value);
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (protocol !== 'https:' && !(isLoopback && rule.loopbackAllowed))
    problems.push(`${name} must begin with https:// in production`);
}

function list(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
