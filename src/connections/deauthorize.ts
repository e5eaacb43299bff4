import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { type SignedRequest } from '../meta/signedRequest';
import { recordAudit } from '../models/auditLog';
import {
  disconnectAccount,
  disconnectAccountsOfLogin,
  listConnectedAccountsOnPage,
} from '../models/instagramAccounts';
import {
  disconnectMetaAccount,
  listMetaAccountsOfPerson,
  listUnusedMetaAccounts,
  lockMetaAccount,
} from '../models/metaAccounts';
import { eraseUnusedPageTokens } from '../models/pages';
import { logger } from '../utils/logger';

/**
 * The person (or Page) removed our app at Meta: every connection that rested on it ends and its tokens are erased, in
 * whosever account they are. Saying it again changes nothing. @returns how many connections ended
 */
export async function deauthorize(
  { pool }: Pick<AppContext, 'pool'>,
  { metaUserId, pageId }: SignedRequest,
): Promise<number> {
  const ended = await transaction(pool, async (db) => {
    let count = 0;
    const logins = metaUserId === null ? [] : await listMetaAccountsOfPerson(db, metaUserId);
    for (const { id, userId } of logins) {
      await disconnectMetaAccount(db, id, 'deauthorized');
      count += await disconnectAccountsOfLogin(db, id, 'deauthorized');
      await eraseUnusedPageTokens(db, id);
      const subject = { subjectType: 'meta_account', subjectId: id };
      await recordAudit(db, {
        userId: null,
        action: 'login.deauthorized',
        ...subject,
        details: { ownerId: userId },
      });
    }
    const onPage = pageId === null ? [] : await listConnectedAccountsOnPage(db, pageId);
    for (const account of onPage) {
      await lockMetaAccount(db, account.metaAccountId);
      if (await disconnectAccount(db, account.id, 'deauthorized')) count++;
      await eraseUnusedPageTokens(db, account.metaAccountId);
      for (const { id } of await listUnusedMetaAccounts(db, account.userId)) {
        await disconnectMetaAccount(db, id, 'deauthorized');
      }
    }
    return count;
  });
  logger.info('deauthorized at Meta', { connections: ended });
  return ended;
}
