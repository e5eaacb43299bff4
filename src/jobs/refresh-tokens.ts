import { REFRESH_LEASE_SECONDS, refreshToken } from '../connections/refreshToken';
import { type AppContext } from '../context';
import { type FailureCode } from '../failures';
import {
  claimDueRefreshes,
  markExpiredMetaAccounts,
  type RefreshClaim,
  releaseRefreshes,
} from '../models/tokenRefreshes';
import { createGate, type Gate } from '../utils/gate';
import { logger } from '../utils/logger';
import { runJob } from './runJob';

/** Calls to Meta at the same time. */
const PARALLEL_CALLS = 5;
/** A few more, so that one reads or writes its row while another waits for Meta. */
const WORKERS = 8;
/** Few, so that the last ones are shared out and a stop gives little back. */
const CLAIMS_AT_ONCE = 2;
/** So many refusals for the rate in a row mean that Meta refuses everything; calls made meanwhile lengthen that. */
const MOST_BUSY_ANSWERS = 5;

type Summary = Record<
  'refreshed' | 'unchanged' | 'failed' | 'needReconnect' | 'superseded' | 'expired',
  number
>;

/**
 * Renews every token that is due, several at once; one failure does not stop the rest. Any number of runs may overlap:
 * the leases share the work out. On `signal` the tokens being renewed are finished and the others given back.
 */
export async function refreshTokens(context: AppContext, signal: AbortSignal): Promise<Summary> {
  const { config, pool } = context;
  const summary: Summary = {
    refreshed: 0,
    unchanged: 0,
    failed: 0,
    needReconnect: 0,
    superseded: 0,
    expired: 0,
  };
  summary.expired = await markExpiredMetaAccounts(pool);

  const gate = createGate(PARALLEL_CALLS);
  let busyAnswers = 0;
  async function work(): Promise<void> {
    while (mayContinue()) {
      const claims = await claimDueRefreshes(pool, {
        thresholdDays: config.tokenRefreshThresholdDays,
        leaseSeconds: REFRESH_LEASE_SECONDS,
        limit: CLAIMS_AT_ONCE,
      });
      if (claims.length === 0) return;
      for (const [index, claim] of claims.entries()) {
        if (!mayContinue()) {
          await releaseRefreshes(pool, claims.slice(index));
          return;
        }
        const code = await refreshOne(context, claim, gate, summary);
        busyAnswers = code === 'meta_busy' ? busyAnswers + 1 : 0;
      }
    }
  }
  const mayContinue = () => !signal.aborted && busyAnswers < MOST_BUSY_ANSWERS;

  const workers = await Promise.allSettled(Array.from({ length: WORKERS }, work));
  const broken = workers.find((worker) => worker.status === 'rejected');
  if (broken !== undefined) throw broken.reason;
  return summary;
}

async function refreshOne(
  context: AppContext,
  claim: RefreshClaim,
  gate: Gate,
  summary: Summary,
): Promise<FailureCode | null> {
  try {
    const { outcome, code } = await refreshToken(context, claim, gate);
    summary[outcome === 'needs_reconnect' ? 'needReconnect' : outcome]++;
    return code;
  } catch (error) {
    // Its lease runs out by itself, and the next run takes it.
    summary.failed++;
    logger.error('token refresh broke off', { metaAccountId: claim.id, error });
    return null;
  }
}

if (require.main === module) void runJob('refresh-tokens', refreshTokens);
