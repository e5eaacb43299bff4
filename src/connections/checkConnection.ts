import { type AppContext } from '../context';
import { type FailureCode, failureOf, isTokenDead, tokenFailure } from '../failures';
import { MetaApiError } from '../meta/errors';
import { debugToken, readAppFields, readInstalledFields, type TokenFacts } from '../meta/facebookLogin';
import { fetchInstagramProfile } from '../meta/pages';
import { missingScopes } from '../meta/scopes';
import { markAccountStatus, type WholeAccount } from '../models/instagramAccounts';
import {
  findEncryptedUserToken,
  findMetaAccount,
  markMetaAccountActive,
  type MetaAccount,
  updateTokenFacts,
} from '../models/metaAccounts';
import { findEncryptedPage } from '../models/pages';
import { recordConfirmedFields } from '../models/webhookSubscriptions';
import { judge, markLoginDead } from './connectionStatus';
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
  state: 'passed' | 'failed' | 'unknown';
  /** Why it failed or is not known. */
  code: FailureCode | null;
}

const CHECK_TIMEOUT_MS = 10_000;
const SOON_MS = 7 * 86_400_000;

/**
 * Looks at everything a connection needs, asks Meta where Meta knows, and writes down what it found: a dead token, a
 * missing subscription or permission, or that what was thought dead is alive. What Meta cannot say changes nothing.
 */
export async function checkConnection(context: AppContext, account: WholeAccount): Promise<CheckLine[]> {
  const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
  const login = await findMetaAccount(context.pool, account.metaAccountId);
  if (login === null || login.status === 'disconnected') return [failed('token', 'token_missing')];

  const { facts, line: tokenLine } = await checkToken(context, login, signal);
  const scopes = facts?.isValid === true ? facts.scopes : login.scopes;
  const [profile, subscription, appFields] = await checkPage(context, account, signal);
  const instagram = withDataAccess(profile, facts?.dataAccessExpiresAt ?? null);
  await settle(context, account, login, { tokenLine, instagram, subscription, scopes });
  return [
    tokenLine,
    expiryLine(facts === null ? login.tokenExpiresAt : facts.expiresAt, tokenLine),
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
    return { facts: null, line: lineOf('token', error) };
  }
}

/** The Page's token, the Instagram account behind it, and whether events come. */
async function checkPage(
  { config, graph, pool }: AppContext,
  account: WholeAccount,
  signal: AbortSignal,
): Promise<[CheckLine, CheckLine, CheckLine]> {
  const appFields = readAppFields(graph, { signal }).then(
    (fields) => (fields === null ? unknown('appFields', 'app_subscription_missing') : passed('appFields')),
    (error: unknown) => unknown('appFields', lineOf('appFields', error).code),
  );
  const page = account.pageRowId === null ? null : await findEncryptedPage(pool, account.pageRowId);
  if (page === null)
    return [failed('instagram', 'token_missing'), unknown('subscription', null), await appFields];
  try {
    const pageToken = openPageToken(config.tokenKeys, page);
    const instagram = fetchInstagramProfile(graph, account.igUserId, pageToken, { signal }).then(
      () => passed('instagram'),
      (error: unknown) => lineOf('instagram', error),
    );
    const subscription = readInstalledFields(graph, { pageId: page.pageId, pageToken }, { signal }).then(
      async (confirmed) => {
        const code = missingFields(confirmed).length > 0 ? 'webhooks_missing' : null;
        await recordConfirmedFields(pool, account.id, confirmed, code);
        return code === null ? passed('subscription') : failed('subscription', code);
      },
      (error: unknown) => lineOf('subscription', error),
    );
    return await Promise.all([instagram, subscription, appFields]);
  } catch (error) {
    return [lineOf('instagram', error), unknown('subscription', null), await appFields];
  }
}

/** Trouble on the way to Meta leaves a line open; a refusal fails it. @throws whatever is neither */
function lineOf(key: CheckLine['key'], error: unknown): CheckLine {
  if (error instanceof StoredTokenError) {
    return error.code === 'token_key_missing' ? unknown(key, error.code) : failed(key, error.code);
  }
  if (!(error instanceof MetaApiError)) throw error;
  return isAnswer(error) ? failed(key, failureOf(error)) : unknown(key, failureOf(error));
}

function isAnswer({ action }: MetaApiError): boolean {
  return action === 'reconnect' || action === 'permission' || action === 'reject';
}

/** After 90 days without a login Meta calls it a missing permission, while all of them are still granted. */
function withDataAccess(line: CheckLine, dataAccessExpiresAt: Date | null): CheckLine {
  const hasEnded = dataAccessExpiresAt !== null && dataAccessExpiresAt.getTime() <= Date.now();
  return hasEnded && line.code === 'permission_missing' ? failed(line.key, 'data_access_expired') : line;
}

function expiryLine(expiresAt: Date | null, token: CheckLine): CheckLine {
  if (token.state === 'failed') return failed('expiry', token.code ?? 'token_expired');
  const isSoon = expiresAt !== null && expiresAt.getTime() - Date.now() < SOON_MS;
  return isSoon ? unknown('expiry', 'refresh_not_extended') : passed('expiry');
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
  if (tokenLine.state === 'passed') await markMetaAccountActive(pool, login);
  else if (login.status !== 'active') return;
  if (instagram.code !== null && isTokenDead(instagram.code)) {
    await markAccountStatus(pool, account, 'needs_reconnect', instagram.code);
    return;
  }
  if (subscription.state === 'unknown' || instagram.state === 'unknown') return;
  const verdict = judge(scopes, subscription.code);
  const isLimited = verdict.status === 'active' && instagram.state === 'failed';
  if (isLimited) await markAccountStatus(pool, account, 'limited', instagram.code);
  else await markAccountStatus(pool, account, verdict.status, verdict.code);
}
