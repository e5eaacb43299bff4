import { randomBytes } from 'node:crypto';

const random = (bytes) => randomBytes(bytes).toString('hex');

const SECRETS = {
  APP_ID: '512004470011223',
  APP_SECRET: random(16),
  SESSION_SECRET: random(32),
  OAUTH_STATE_SECRET: random(32),
  VERIFY_TOKEN: random(16),
  OPERATOR_TOKEN: random(16),
  TOKEN_KEYS: `k1:${randomBytes(32).toString('base64')}`,
};

export const APP_SECRET = SECRETS.APP_SECRET;
export const OPERATOR_TOKEN = SECRETS.OPERATOR_TOKEN;

/** The environment of the application's programs in production; what is not here has its default, LOG_LEVEL too. */
export function productionSettings(databaseUrl) {
  return {
    NODE_ENV: 'production',
    DATABASE_URL: databaseUrl,
    BASE_URL: 'http://127.0.0.1', // a loopback address may be plain http
    ...SECRETS,
  };
}
