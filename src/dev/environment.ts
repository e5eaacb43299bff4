import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { type Environment } from '../config';
import { startEmbeddedPostgres } from './embeddedPostgres';
import { startSandbox } from '../sandbox/sandbox';
import { ensureDatabase } from './ensureDatabase';

export interface DevelopmentEnvironment {
  /** What was given, completed by what development may default. */
  env: Environment;
  /** Called once the server listens: what an operator would do in Meta's dashboard. @returns lines for the person */
  afterListen: () => Promise<string[]>;
  stop: () => Promise<void>;
}

const ROOT = path.resolve(__dirname, '../..');
const DATABASE = 'insta_connect_demo';
const NO_DATABASE =
  'No database is named (DATABASE_URL), and there is none in .data/ yet. On a server, give this command the environment of the service: see deploy/README.md';
const SANDBOX_PORT = 4900;
const SANDBOX_APP = {
  appId: '512004470011223',
  appSecret: 'demo-meta-app-secret',
  instagramAppId: '698877001122334',
  instagramAppSecret: 'demo-ig-app-secret',
};

/**
 * Completes the environment so that a fresh clone runs: a `.env` file, generated secrets kept in `.data/`, an embedded
 * PostgreSQL when no database is named. In production, and only there, nothing is defaulted.
 */
export async function developmentEnvironment(
  given: Environment,
  { isTool = false } = {},
): Promise<DevelopmentEnvironment> {
  const nothing = () => Promise.resolve();
  const noLines = () => Promise.resolve([]);
  if (given['NODE_ENV'] === 'production') return { env: given, afterListen: noLines, stop: nothing };

  const dataDir = path.resolve(given['DATA_DIR'] ?? path.join(ROOT, '.data'));
  const env = withoutEmpty({ ...readEnvFile(path.join(ROOT, '.env')), ...withoutEmpty(given) });
  if (env['NODE_ENV'] === 'production') return { env, afterListen: noLines, stop: nothing };
  const result: DevelopmentEnvironment = {
    env: { ...generatedSecrets(dataDir), ...env },
    afterListen: noLines,
    stop: nothing,
  };
  if (env['DATABASE_URL'] === undefined && env['DB_HOST'] === undefined) {
    // A tool that made a database of its own would do its work where nobody sees it.
    if (isTool && !fs.existsSync(path.join(dataDir, 'postgres'))) throw new Error(NO_DATABASE);
    await addDatabase(result, dataDir);
  }
  if (!isTool && env['APP_ID'] === undefined && env['META_GRAPH_BASE'] === undefined)
    await addSandbox(result, dataDir);
  return result;
}

async function addDatabase(result: DevelopmentEnvironment, dataDir: string): Promise<void> {
  const postgres = await startEmbeddedPostgres({ dataDir: path.join(dataDir, 'postgres') });
  await ensureDatabase(postgres.urlOf('postgres'), DATABASE);
  result.env = { ...result.env, DATABASE_URL: postgres.urlOf(DATABASE) };
  result.stop = () => postgres.stop();
}

/**
 * The stand-in for Meta, unless an app of the real one is named. A job started beside a running server uses the sandbox of
 * that one: the two would overwrite each other's state.
 */
async function addSandbox(result: DevelopmentEnvironment, dataDir: string): Promise<void> {
  const { env, stop } = result;
  const baseUrl = (env['BASE_URL'] ?? `http://localhost:${env['PORT'] ?? '3000'}`).replace(/\/+$/, '');
  const addressFile = path.join(dataDir, 'sandbox.url');
  const running = await runningSandbox(addressFile);
  if (running !== null) {
    result.env = { ...env, ...sandboxSettings(running) };
    return;
  }
  const sandbox = await startSandbox({
    port: SANDBOX_PORT,
    stateFile: path.join(dataDir, 'sandbox.json'),
    app: {
      ...SANDBOX_APP,
      redirectUris: [env['OAUTH_REDIRECT_URI'] ?? `${baseUrl}/oauth/callback`],
      webhookUrl: `${baseUrl}/webhook`,
      verifyToken: env['VERIFY_TOKEN'] ?? '',
      deauthorizeUrl: `${baseUrl}/meta/deauthorize`,
    },
  });
  fs.writeFileSync(addressFile, sandbox.url);
  result.env = { ...env, ...sandboxSettings(sandbox.url) };
  result.afterListen = async () => {
    await sandbox.subscribeApp();
    return [`Meta is simulated. Write a comment or a message as a customer at ${sandbox.url}`];
  };
  result.stop = async () => {
    fs.rmSync(addressFile, { force: true });
    await sandbox.close();
    await stop();
  };
}

function sandboxSettings(url: string): Environment {
  return {
    APP_ID: SANDBOX_APP.appId,
    APP_SECRET: SANDBOX_APP.appSecret,
    INSTAGRAM_APP_SECRET: SANDBOX_APP.instagramAppSecret,
    META_DIALOG_BASE: `${url}/www.facebook.com`,
    META_GRAPH_BASE: `${url}/graph.facebook.com`,
  };
}

/** Null when the file is a leftover of a start that was killed. */
async function runningSandbox(addressFile: string): Promise<string | null> {
  try {
    const url = fs.readFileSync(addressFile, 'utf8').trim();
    const answer = await fetch(`${url}/_sandbox/health`, { signal: AbortSignal.timeout(1000) });
    return answer.ok ? url : null;
  } catch {
    return null;
  }
}

/** Written once and kept, so that sessions, stored tokens and pending connections survive a restart. */
function generatedSecrets(dataDir: string): Environment {
  const file = path.join(dataDir, 'secrets.env');
  if (!fs.existsSync(file)) {
    fs.mkdirSync(dataDir, { recursive: true });
    const random = (bytes: number) => randomBytes(bytes).toString('base64url');
    const lines = {
      SESSION_SECRET: random(36),
      OAUTH_STATE_SECRET: random(36),
      VERIFY_TOKEN: random(18),
      OPERATOR_TOKEN: random(18),
      TOKEN_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    };
    const part = `${file}.${process.pid}`;
    fs.writeFileSync(
      part,
      Object.entries(lines)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
      { mode: 0o600 },
    );
    // link() fails where another process was first: whoever came first decides.
    try {
      fs.linkSync(part, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      fs.rmSync(part);
    }
  }
  return parseEnv(fs.readFileSync(file, 'utf8'));
}

function readEnvFile(file: string): Environment {
  return fs.existsSync(file) ? parseEnv(fs.readFileSync(file, 'utf8')) : {};
}

function withoutEmpty(env: Environment): Environment {
  return Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''),
  );
}
