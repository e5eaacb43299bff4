import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { MetaApiError } from '../meta/errors';
import { revokeAllPermissions, uninstallApp } from '../meta/facebookLogin';
import { recordAudit } from '../models/auditLog';
import {
  disconnectAccount,
  findAccountOfUser,
  lockInstagramAccount,
  type WholeAccount,
} from '../models/instagramAccounts';
import {
  disconnectMetaAccount,
  findEncryptedUserToken,
  findMetaAccount,
  listMetaAccountsOfPerson,
  listUnusedMetaAccounts,
  lockMetaAccount,
} from '../models/metaAccounts';
import { eraseUnusedPageTokens, findEncryptedPage, isPageUsedByOthers } from '../models/pages';
import { logger } from '../utils/logger';
import { openPageToken, openUserToken, StoredTokenError } from './storedTokens';

const FAREWELL_TIMEOUT_MS = 5_000;

/**
 * Ends a user's connection: erased here at once, and then, as well as it goes, at Meta. Its events and history stay.
 * @returns false when it was not connected
 */
export async function disconnect(context: AppContext, userId: string, accountId: string): Promise<boolean> {
  const account = await findAccountOfUser(context.pool, userId, accountId);
  if (account === null || account.status === 'disconnected') return false;
  const farewell = await prepareFarewell(context, account);
  if (!(await erase(context, account))) return false;
  logger.info('account disconnected', { userId, accountId });
  await farewell(AbortSignal.timeout(FAREWELL_TIMEOUT_MS));
  return true;
}

function erase({ pool }: AppContext, account: WholeAccount): Promise<boolean> {
  const { userId } = account;
  return transaction(pool, async (db) => {
    await lockInstagramAccount(db, account.igUserId);
    await lockMetaAccount(db, account.metaAccountId);
    if (!(await disconnectAccount(db, account.id, 'disconnected_by_you'))) return false;
    await eraseUnusedPageTokens(db, account.metaAccountId);
    for (const { id } of await listUnusedMetaAccounts(db, userId)) {
      await disconnectMetaAccount(db, id, 'disconnected_by_you');
    }
    const subject = { subjectType: 'instagram_account', subjectId: account.id };
    await recordAudit(db, { userId, action: 'account.disconnected', ...subject });
    return true;
  });
}

/**
 * Takes the tokens into memory before they are erased. What it returns tells Meta, unless somebody else still needs the
 * Page's installation or the person's permissions; a failure there is logged and changes nothing.
 */
async function prepareFarewell(
  { config, graph, pool }: AppContext,
  account: WholeAccount,
): Promise<(signal: AbortSignal) => Promise<void>> {
  const page = account.pageRowId === null ? null : await findEncryptedPage(pool, account.pageRowId);
  const login = await findEncryptedUserToken(pool, account.metaAccountId);
  const pageToken = page === null ? null : readable(() => openPageToken(config.tokenKeys, page));
  const userToken = login === null ? null : readable(() => openUserToken(config.tokenKeys, login));
  return async (signal) => {
    if (page !== null && pageToken !== null && !(await isPageUsedByOthers(pool, page.pageId, account.id))) {
      await bestEffort(
        'uninstall',
        account,
        uninstallApp(graph, { pageId: page.pageId, pageToken }, { signal }),
      );
    }
    if (userToken !== null && (await isPersonGone(pool, account.metaAccountId))) {
      await bestEffort('revoke', account, revokeAllPermissions(graph, userToken, { signal }));
    }
  };
}

function readable(open: () => string): string | null {
  try {
    return open();
  } catch (error) {
    if (error instanceof StoredTokenError) return null;
    throw error;
  }
}

/** True when no connection of anybody here rests on this person's permissions any more: revoking ends them all. */
async function isPersonGone(pool: AppContext['pool'], metaAccountId: string): Promise<boolean> {
  const login = await findMetaAccount(pool, metaAccountId);
  if (login?.status !== 'disconnected') return false;
  return (await listMetaAccountsOfPerson(pool, login.metaUserId)).length === 0;
}

async function bestEffort(step: string, { id }: WholeAccount, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof MetaApiError)) throw error;
    logger.warn('meta was not told of a disconnect', {
      step,
      accountId: id,
      code: error.code,
      problem: error.message,
    });
  }
}
