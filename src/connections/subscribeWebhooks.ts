import { type AppContext } from '../context';
import { type FailureCode, failureOf } from '../failures';
import { MetaApiError } from '../meta/errors';
import { installApp, readInstalledFields } from '../meta/facebookLogin';
import { PAGE_WEBHOOK_FIELDS } from '../meta/scopes';
import { findAccount, type InstagramAccount, markAccountStatus } from '../models/instagramAccounts';
import { findMetaAccount } from '../models/metaAccounts';
import { findEncryptedPage } from '../models/pages';
import { recordConfirmedFields } from '../models/webhookSubscriptions';
import { logger } from '../utils/logger';
import { confirmDeath, judge } from './connectionStatus';
import { openPageToken, StoredTokenError } from './storedTokens';

/**
 * Installs the app on the account's Page and believes only what Meta lists afterwards. Whatever fails is written on the
 * account and its subscription; nothing is thrown for it.
 * @returns what is wrong with the connection now; null when nothing is
 */
export async function subscribeWebhooks(
  context: AppContext,
  accountId: string,
  signal?: AbortSignal,
): Promise<FailureCode | null> {
  const account = await findAccount(context.pool, accountId);
  if (account === null || account.status === 'disconnected') return null;
  const work = (page: OpenPage) => install(context, page, signal);
  return settle(context, account, await withPage(context, account, work, signal));
}

/**
 * Asks Meta whether the app is still installed, and installs it again when it is not: Meta drops an app whose answers
 * fail for about an hour, and says nothing.
 */
export async function watchWebhooks(
  context: AppContext,
  accountId: string,
  signal?: AbortSignal,
): Promise<'confirmed' | 'repaired' | 'failed'> {
  const account = await findAccount(context.pool, accountId);
  if (account === null || account.status === 'disconnected') return 'confirmed';
  const found = { isMissing: false };
  const verify = async (page: OpenPage) => {
    const confirmed = await readInstalledFields(context.graph, page, { signal });
    found.isMissing = missingFields(confirmed).length > 0;
    return found.isMissing ? install(context, page, signal) : confirmed;
  };
  const result = await withPage(context, account, verify, signal);
  // Not being able to ask says nothing about a subscription that was there.
  if (result.code === 'webhooks_unconfirmed' && !found.isMissing) return 'failed';
  await settle(context, account, result);
  if (result.code !== null) return 'failed';
  return found.isMissing ? 'repaired' : 'confirmed';
}

interface OpenPage {
  pageId: string;
  pageToken: string;
}

async function install({ graph }: AppContext, page: OpenPage, signal?: AbortSignal): Promise<string[]> {
  await installApp(graph, { ...page, fields: PAGE_WEBHOOK_FIELDS }, { signal });
  return readInstalledFields(graph, page, { signal });
}

interface Result {
  confirmed: string[];
  code: FailureCode | null;
  /** The Page's token is dead, which is more than a missing subscription. */
  isDead: boolean;
}

/** Runs calls with the Page's token and puts their outcome, or why there is none, in our words. */
async function withPage(
  context: AppContext,
  account: InstagramAccount,
  work: (page: OpenPage) => Promise<string[]>,
  signal?: AbortSignal,
): Promise<Result> {
  const { config, pool } = context;
  const page = account.pageRowId === null ? null : await findEncryptedPage(pool, account.pageRowId);
  if (page === null) return { confirmed: [], code: 'token_missing', isDead: true };
  const { pageId } = page;
  let pageToken: string;
  try {
    pageToken = openPageToken(config.tokenKeys, page);
  } catch (error) {
    if (!(error instanceof StoredTokenError)) throw error;
    return { confirmed: [], code: error.code, isDead: error.code !== 'token_key_missing' };
  }
  try {
    const confirmed = await work({ pageId, pageToken });
    return {
      confirmed,
      code: missingFields(confirmed).length > 0 ? 'webhooks_missing' : null,
      isDead: false,
    };
  } catch (error) {
    if (!(error instanceof MetaApiError)) throw error;
    logger.warn('webhook subscription failed', { pageId, error: error.message, traceId: error.traceId });
    const death = error.action === 'reconnect' ? await confirmDeath(context, pageToken, error, signal) : null;
    const code = death ?? (error.action === 'permission' ? failureOf(error) : 'webhooks_unconfirmed');
    return { confirmed: [], code, isDead: death !== null };
  }
}

/** Of the fields we want, those Meta did not list. */
export function missingFields(confirmed: readonly string[]): string[] {
  return PAGE_WEBHOOK_FIELDS.filter((field) => !confirmed.includes(field));
}

async function settle(
  { pool }: AppContext,
  account: InstagramAccount,
  { confirmed, code, isDead }: Result,
): Promise<FailureCode | null> {
  await recordConfirmedFields(pool, account.id, confirmed, code);
  const login = await findMetaAccount(pool, account.metaAccountId);
  // The login's own trouble is worse than the webhooks' and not cured by them.
  if (login?.status !== 'active') return 'token_invalid';
  const verdict = isDead ? { status: 'needs_reconnect' as const, code } : judge(login.scopes, code);
  await markAccountStatus(pool, account, verdict.status, verdict.code);
  return verdict.code;
}
