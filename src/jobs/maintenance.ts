import { watchSubscriptions } from '../connections/watchSubscriptions';
import { type AppContext } from '../context';
import { deleteExpiredOauthStates } from '../models/oauthStates';
import { trimHandshakes } from '../models/webhookHandshakes';
import { trimRejections } from '../models/webhookRejections';
import { purgeOldRows } from './retention';
import { type JobSummary, runJob } from './runJob';

/** Of an hour, so that the rest of the run fits into the unit's limit; inside the server it shares the CPU with people. */
const RETENTION_MS = { external: 600_000, inline: 120_000 } as const;

/** What has to be looked after hourly: Meta's webhook subscriptions, and rows nobody needs any more. */
export async function maintain(context: AppContext, signal: AbortSignal): Promise<JobSummary> {
  const expiredStates = await deleteExpiredOauthStates(context.pool);
  const { confirmed, repaired, failed } = await watchSubscriptions(context, signal);
  const trimmedRejections = await trimRejections(context.pool);
  const trimmedHandshakes = await trimHandshakes(context.pool);
  const purged = await purgeOldRows(context, signal, RETENTION_MS[context.config.scheduler]);
  // That Meta does not answer for an account is that account's state, not a failure of this job.
  return {
    expiredStates,
    subscriptionsConfirmed: confirmed,
    subscriptionsRepaired: repaired,
    subscriptionsUnclear: failed,
    trimmedRejections,
    trimmedHandshakes,
    ...purged,
  };
}

if (require.main === module) void runJob('maintenance', maintain);
