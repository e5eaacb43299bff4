import { watchSubscriptions } from '../connections/watchSubscriptions';
import { type AppContext } from '../context';
import { deleteExpiredOauthStates } from '../models/oauthStates';
import { type JobSummary, runJob } from './runJob';

/** What has to be looked after hourly: Meta's webhook subscriptions, and rows nobody needs any more. */
export async function maintain(context: AppContext, signal: AbortSignal): Promise<JobSummary> {
  const expiredStates = await deleteExpiredOauthStates(context.pool);
  const { confirmed, repaired, failed } = await watchSubscriptions(context, signal);
  // That Meta does not answer for an account is that account's state, not a failure of this job.
  return {
    expiredStates,
    subscriptionsConfirmed: confirmed,
    subscriptionsRepaired: repaired,
    subscriptionsUnclear: failed,
  };
}

if (require.main === module) void runJob('maintenance', maintain);
