import { type AppContext } from '../context';
import { type FailureCode, failureOf, isTokenDead, tokenFailure } from '../failures';
import { MetaApiError } from '../meta/errors';
import { debugToken, readAppFields, readInstalledFields, type TokenFacts } from '../meta/facebookLogin';
import { fetchInstagramProfile } from '../meta/pages';
import { INSTAGRAM_WEBHOOK_FIELDS, missingScopes } from '../meta/scopes';
import { markAccountStatus, type WholeAccount } from '../models/instagramAccounts';
import {
  findEncryptedUserToken,
  findMetaAccount,
  markMetaAccountActive,
  type MetaAccount,
  updateTokenFacts,
} from '../models/metaAccounts';
import { findEncryptedPage } from '../models/pages';
import { listRefreshAttempts } from '../models/tokenRefreshLog';
import { requeueAfterReconnect } from '../models/webhookEvents';
import { recordConfirmedFields } from '../models/webhookSubscriptions';
import { confirmDeath, judge, markLoginDead } from './connectionStatus';
import { openPageToken, openUserToken, StoredTokenError } from './storedTokens';
import { missingFields } from './subscribeWebhooks';

export const CHECKS = [
  'token',
  'expiry',
  'permissions',
  'instagram',
  'subscription',
  'appFields',
  'lastEvent',
] as const;

export interface CheckLine {
  /** Text key below `accounts:check`. */
  key: (typeof CHECKS)[number];
  /** A warning: it works, and will not for long. */
  state: 'passed' | 'warning' | 'failed' | 'unknown';
  /** Why it did not pass. */
  code: FailureCode | null;
  /** `expiry`: when access ends, as the session keeps it; absent when it does not. */
  endsAt?: string;
  /** `appFields`: what the app is not subscribed to. */
  missing?: string[];
}

const CHECK_TIMEOUT_MS = 10_000;
const DAY_MS = 86_400_000;

/**
 * Looks at everything a connection needs, asks Meta where Meta knows, and writes down what it found: a dead token, a
 * missing subscription or permission, or that what was thought dead is alive. What Meta cannot say changes nothing.
 */
export async function checkConnection(context: AppContext, account: WholeAccount): Promise<CheckLine[]> {
  const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
  const login = await findMetaAccount(context.pool, account.metaAccountId);
  if (login === null || login.status === 'disconnected') return [failed('token', 'token_missing')];

  const { facts, line: tokenLine } = await checkToken(context, login, signal);
  const scopes = (facts?.isValid === true ? facts.scopes : undefined) ?? login.scopes;
  const expiresAt = facts?.expiresAt === undefined ? login.tokenExpiresAt : facts.expiresAt;
  const readableUntil =
    facts?.dataAccessExpiresAt === undefined ? login.dataAccessExpiresAt : facts.dataAccessExpiresAt;
  const [profile, subscription, appFields] = await checkPage(context, account, signal);
  const instagram = withDataAccess(profile, readableUntil);
  await settle(context, account, login, { tokenLine, instagram, subscription, scopes });
  return [
    tokenLine,
    await expiryLine(context, login, expiresAt, tokenLine),
    missingScopes(scopes).length > 0 ? failed('permissions', 'permission_missing') : passed('permissions'),
    instagram,
    subscription,
    appFields,
    { key: 'lastEvent', state: account.lastEventAt === null ? 'unknown' : 'passed', code: null },
  ];
}

const passed = (key: CheckLine['key']): CheckLine => ({ key, state: 'passed', code: null });
const failed = (key: CheckLine['key'], code: FailureCode): CheckLine => ({ key, state: 'failed', code });
const unknown = (key: CheckLine['key'], code: FailureCode | null): CheckLine => ({
  key,
  state: 'unknown',
  code,
});

/** Only Meta's word that the token is not valid fails the line: a refused question is about us, not about the token. */
async function checkToken(
  { config, graph, pool }: AppContext,
  login: MetaAccount,
  signal: AbortSignal,
): Promise<{ facts: TokenFacts | null; line: CheckLine }> {
  try {
    const row = await findEncryptedUserToken(pool, login.id);
    if (row === null) return { facts: null, line: failed('token', 'token_missing') };
    const facts = await debugToken(graph, openUserToken(config.tokenKeys, row), { signal });
    if (!facts.isValid) return { facts, line: failed('token', tokenFailure(facts.subcode)) };
    await updateTokenFacts(pool, login.id, facts, login.tokenVersion);
    return { facts, line: passed('token') };
  } catch (error) {
    const line = error instanceof MetaApiError ? unknown('token', refusalOf(error)) : lineOf('token', error);
    return { facts: null, line };
  }
}

/** The Page's token, the Instagram account behind it, and whether events come. */
async function checkPage(
  context: AppContext,
  account: WholeAccount,
  signal: AbortSignal,
): Promise<[CheckLine, CheckLine, CheckLine]> {
  const { config, graph, pool } = context;
  const appFields = readAppFields(graph, { signal }).then(appFieldsLine, (error: unknown) => {
    if (!(error instanceof MetaApiError)) throw error;
    return unknown('appFields', refusalOf(error));
  });
  const page = account.pageRowId === null ? null : await findEncryptedPage(pool, account.pageRowId);
  if (page === null)
    return [failed('instagram', 'token_missing'), unknown('subscription', null), await appFields];
  try {
    const pageToken = openPageToken(config.tokenKeys, page);
    const instagram = fetchInstagramProfile(graph, account.igUserId, pageToken, { signal }).then(
      () => passed('instagram'),
      (error: unknown) => pageLine(context, 'instagram', pageToken, error, signal),
    );
    const subscription = readInstalledFields(graph, { pageId: page.pageId, pageToken }, { signal }).then(
      async (confirmed) => {
        const code = missingFields(confirmed).length > 0 ? 'webhooks_missing' : null;
        await recordConfirmedFields(pool, account.id, confirmed, code);
        return code === null ? passed('subscription') : failed('subscription', code);
      },
      (error: unknown) => pageLine(context, 'subscription', pageToken, error, signal),
    );
    return await Promise.all([instagram, subscription, appFields]);
  } catch (error) {
    return [lineOf('instagram', error), unknown('subscription', null), await appFields];
  }
}

/** A dead Page token is believed when debug_token says the same. */
async function pageLine(
  context: AppContext,
  key: 'instagram' | 'subscription',
  pageToken: string,
  error: unknown,
  signal: AbortSignal,
): Promise<CheckLine> {
  if (!(error instanceof MetaApiError) || error.action !== 'reconnect') return lineOf(key, error);
  const death = await confirmDeath(context, pageToken, error, signal);
  return death === null ? unknown(key, 'meta_unreachable') : failed(key, death);
}

function appFieldsLine(fields: string[] | null): CheckLine {
  if (fields === null) return unknown('appFields', 'app_subscription_missing');
  const missing = INSTAGRAM_WEBHOOK_FIELDS.filter((field) => !fields.includes(field));
  return missing.length === 0
    ? passed('appFields')
    : { ...failed('appFields', 'app_subscription_missing'), missing };
}

/** For calls that Meta answers to the app itself: a token it calls dead there is the app's own. */
function refusalOf(error: MetaApiError): FailureCode {
  return error.isPermanent && error.action !== 'operator' ? 'meta_refused' : failureOf(error);
}

/** Trouble on the way to Meta, or with our app, leaves a line open; a refusal fails it. @throws whatever is neither */
function lineOf(key: CheckLine['key'], error: unknown): CheckLine {
  if (error instanceof StoredTokenError) {
    return error.code === 'token_key_missing' ? unknown(key, error.code) : failed(key, error.code);
  }
  if (!(error instanceof MetaApiError)) throw error;
  return isAnswer(error) ? failed(key, failureOf(error)) : unknown(key, failureOf(error));
}

/** Not every rejection says something of the connection: one of our secret's proof looks the same for everybody. */
function isAnswer(error: MetaApiError): boolean {
  return error.action === 'permission' || (error.action === 'reject' && failureOf(error) !== 'meta_refused');
}

/** After 90 days without a login Meta calls it a missing permission, while all of them are still granted. */
function withDataAccess(line: CheckLine, dataAccessExpiresAt: Date | null): CheckLine {
  const hasEnded = dataAccessExpiresAt !== null && dataAccessExpiresAt.getTime() <= Date.now();
  return hasEnded && line.code === 'permission_missing' ? failed(line.key, 'data_access_expired') : line;
}

/** An end that comes near is nothing to do for anybody, unless renewing was tried and did not help. */
async function expiryLine(
  { config, pool }: AppContext,
  login: MetaAccount,
  expiresAt: Date | null,
  token: CheckLine,
): Promise<CheckLine> {
  if (token.state === 'failed') return failed('expiry', token.code ?? 'token_expired');
  if (expiresAt === null) return passed('expiry');
  const leftMs = expiresAt.getTime() - Date.now();
  if (leftMs <= 0) return failed('expiry', 'token_expired');
  const endsAt = expiresAt.toISOString();
  const isDue = leftMs <= config.tokenRefreshThresholdDays * DAY_MS;
  if (!isDue || !(await hasRefreshFailed(pool, login))) return { ...passed('expiry'), endsAt };
  return { key: 'expiry', state: 'warning', code: 'refresh_not_extended', endsAt };
}

async function hasRefreshFailed(
  pool: AppContext['pool'],
  { id, refreshFailures, tokenIssuedAt }: MetaAccount,
): Promise<boolean> {
  if (refreshFailures > 0) return true;
  const [last] = await listRefreshAttempts(pool, id, 1);
  // An attempt before the last log-in was about another token.
  return last?.outcome === 'unchanged' && (tokenIssuedAt === null || last.startedAt >= tokenIssuedAt);
}

interface Found {
  tokenLine: CheckLine;
  instagram: CheckLine;
  subscription: CheckLine;
  scopes: string[];
}

async function settle(
  context: AppContext,
  account: WholeAccount,
  login: MetaAccount,
  { tokenLine, instagram, subscription, scopes }: Found,
): Promise<void> {
  const { pool } = context;
  if (tokenLine.state === 'failed') {
    await markLoginDead(context, login, tokenLine.code ?? 'token_invalid');
    return;
  }
  // As long as Meta does not vouch for the token, what it says about the Page may be about our app.
  if (tokenLine.state !== 'passed') return;
  await markMetaAccountActive(pool, login);
  if (instagram.code !== null && isTokenDead(instagram.code)) {
    await markAccountStatus(pool, account, 'needs_reconnect', instagram.code);
    return;
  }
  if (subscription.state === 'unknown' || instagram.state === 'unknown') return;
  const verdict = judge(scopes, subscription.code);
  const isLimited = verdict.status === 'active' && instagram.state === 'failed';
  if (isLimited) await markAccountStatus(pool, account, 'limited', instagram.code);
  else await markAccountStatus(pool, account, verdict.status, verdict.code);
  if (instagram.state === 'passed' && missingScopes(scopes).length === 0)
    await requeueAfterReconnect(pool, account.id);
}
