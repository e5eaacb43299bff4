import http from 'node:http';
import { type AddressInfo } from 'node:net';
import { createApp } from '../../src/app';
import { type Config, loadConfig } from '../../src/config';
import { type AppContext, closeContext, createContext } from '../../src/context';
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox';
import { logger } from '../../src/utils/logger';
import { Browser } from './browser';
import { useDatabase } from './database';

export const META_SECRET = 'demo-meta-app-secret';
export const INSTAGRAM_SECRET = 'demo-ig-app-secret';
export const VERIFY_TOKEN = 'verify-token-of-the-tests';
export const OPERATOR_TOKEN = 'operator-token-of-the-tests';

export interface TestApp {
  readonly url: string;
  readonly context: AppContext;
  /** Only with `sandbox: true`. */
  readonly sandbox: Sandbox;
  /** A visitor with cookies of its own. */
  browser(): Browser;
}

/** A listening app on a database of its own, and with `sandbox: true` a Meta to connect to. */
export function useApp(options: { sandbox?: boolean; env?: Record<string, string> } = {}): TestApp {
  const { config: database } = useDatabase();
  let url = '';
  let context: AppContext | undefined;
  let sandbox: Sandbox | undefined;
  let server: http.Server;

  beforeAll(async () => {
    logger.silent = true;
    server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://localhost:${(server.address() as AddressInfo).port}`;
    if (options.sandbox === true) sandbox = await startSandbox({ port: 0, app: sandboxApp(url) });
    context = createContext(
      testConfig(url, database.connectionString, { ...sandbox?.bases, ...options.env }),
    );
    server.on('request', createApp(context));
    await sandbox?.subscribeApp();
  });
  afterAll(async () => {
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    await sandbox?.close();
    if (context !== undefined) await closeContext(context);
  });

  return {
    get url() {
      return url;
    },
    get context() {
      return context!;
    },
    get sandbox() {
      return sandbox!;
    },
    browser: () => new Browser(url),
  };
}

export function testConfig(baseUrl: string, databaseUrl: string, env: Record<string, string> = {}): Config {
  return loadConfig({
    NODE_ENV: 'test',
    BASE_URL: baseUrl,
    DATABASE_URL: databaseUrl,
    APP_ID: '512004470011223',
    APP_SECRET: META_SECRET,
    INSTAGRAM_APP_SECRET: INSTAGRAM_SECRET,
    META_GRAPH_BASE: 'http://127.0.0.1:9',
    META_DIALOG_BASE: 'http://127.0.0.1:9',
    VERIFY_TOKEN,
    OPERATOR_TOKEN,
    SESSION_SECRET: 'session-secret-of-the-tests-0123456789',
    OAUTH_STATE_SECRET: 'state-secret-of-the-tests-0123456789abc',
    TOKEN_KEYS: 'k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
    BCRYPT_ROUNDS: '10',
    WEBHOOK_LINGER_SECONDS: '0',
    ...env,
  });
}

function sandboxApp(url: string) {
  return {
    appId: '512004470011223',
    appSecret: META_SECRET,
    instagramAppId: '698877001122334',
    instagramAppSecret: INSTAGRAM_SECRET,
    redirectUris: [`${url}/oauth/callback`],
    webhookUrl: `${url}/webhook`,
    verifyToken: VERIFY_TOKEN,
    deauthorizeUrl: `${url}/meta/deauthorize`,
  };
}
