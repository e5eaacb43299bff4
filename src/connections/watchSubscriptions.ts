import { type AppContext } from '../context';
import { listAccountsToWatch } from '../models/instagramAccounts';
import { logger } from '../utils/logger';
import { watchWebhooks } from './subscribeWebhooks';

const AT_ONCE = 5;

/**
 * Compares what Meta lists with what we want, for every connection not looked at within the hour, and repairs it. Meant
 * to run hourly; nothing of it is urgent, so a stop simply ends it.
 */
export async function watchSubscriptions(
  context: AppContext,
  signal: AbortSignal,
): Promise<Record<'confirmed' | 'repaired' | 'failed', number>> {
  const summary = { confirmed: 0, repaired: 0, failed: 0 };
  let accountIds = await listAccountsToWatch(context.pool, '0', AT_ONCE);
  while (accountIds.length > 0 && !signal.aborted) {
    const results = await Promise.allSettled(
      accountIds.map((accountId) => watchWebhooks(context, accountId)),
    );
    for (const [index, result] of results.entries()) {
      const accountId = accountIds[index];
      if (result.status === 'rejected') {
        logger.error('webhook subscription check broke off', { accountId, error: result.reason as unknown });
        summary.failed++;
        continue;
      }
      if (result.value === 'repaired') logger.warn('webhook subscription repaired', { accountId });
      summary[result.value]++;
    }
    accountIds = await listAccountsToWatch(context.pool, accountIds.at(-1) ?? '0', AT_ONCE);
  }
  return summary;
}
