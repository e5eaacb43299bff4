import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { type FailureCode, failureOf } from '../failures';
import { MetaApiError } from '../meta/errors';
import { renewLongLived } from '../meta/facebookLogin';
import { recordRefreshAttempt, type RefreshOutcome } from '../models/tokenRefreshLog';
import { postponeRefresh, type RefreshClaim, storeRefreshedToken } from '../models/tokenRefreshes';
import { type Gate, openGate } from '../utils/gate';
import { logger } from '../utils/logger';
import { confirmDeath, markLoginDead } from './connectionStatus';
import { openUserToken, sealUserToken, StoredTokenError } from './storedTokens';

export interface RefreshResult {
  outcome: RefreshOutcome;
  code: FailureCode | null;
}

/** Longer than all calls of one refresh together, and of the few that wait behind it. */
export const REFRESH_LEASE_SECONDS = 120;

/** Shorter than the hour between two runs, or the next one would pass it over. */
const RETRY_SECONDS = 55 * 60;
const DAY_SECONDS = 24 * 3600;

/**
 * Renews a claimed login's token. Meta is asked outside any transaction; the answer counts only while the claim does,
 * and the old token stays unless a valid one that ends later came back. Every try leaves a line in the history.
 * @param gate bounds the calls to Meta that run at the same time
 */
export async function refreshToken(
  context: AppContext,
  claim: RefreshClaim,
  gate: Gate = openGate,
): Promise<RefreshResult> {
  let oldToken: string;
  try {
    oldToken = openUserToken(context.config.tokenKeys, claim);
  } catch (error) {
    if (!(error instanceof StoredTokenError)) throw error;
    return error.code === 'token_key_missing'
      ? fail(context, claim, error.code, error)
      : endLogin(context, claim, error.code, error);
  }
  try {
    const renewed = await gate(() => renewLongLived(context.graph, oldToken));
    return await keep(context, claim, renewed);
  } catch (error) {
    if (!(error instanceof MetaApiError)) throw error;
    if (error.action !== 'reconnect') return fail(context, claim, codeOf(error), error);
    const death = await confirmDeath(context, oldToken, error);
    return death === null
      ? fail(context, claim, 'token_check_disagrees', error)
      : endLogin(context, claim, death, error);
  }
}

/** A 200 that holds no valid token is named as what it is. */
function codeOf(error: MetaApiError): FailureCode {
  return error.code === null && error.status >= 200 && error.status < 300
    ? 'refresh_answer_invalid'
    : failureOf(error);
}

async function keep(
  { config, pool }: AppContext,
  claim: RefreshClaim,
  { token, expiresInSeconds }: { token: string; expiresInSeconds: number },
): Promise<RefreshResult> {
  const encrypted = sealUserToken(config.tokenKeys, token, claim);
  return transaction(pool, async (db) => {
    const stored = await storeRefreshedToken(db, claim, { encrypted, expiresInSeconds });
    if (stored !== null) {
      await recordRefreshAttempt(db, {
        ...attemptOf(claim),
        outcome: 'refreshed',
        newExpiresAt: stored.tokenExpiresAt,
      });
      return { outcome: 'refreshed', code: null };
    }
    // Not later than what we have (Meta may hand the same token back), or the claim is not ours any more.
    const isOurs = await postponeRefresh(db, claim, { waitSeconds: DAY_SECONDS, isFailure: false });
    const outcome = isOurs ? 'unchanged' : 'superseded';
    const code = isOurs ? 'refresh_not_extended' : null;
    await recordRefreshAttempt(db, { ...attemptOf(claim), outcome, errorCode: code });
    return { outcome, code };
  });
}

/** The old token stays; the next hour, or when Meta allows, brings the next try. */
async function fail(
  { pool }: AppContext,
  claim: RefreshClaim,
  code: FailureCode,
  error: Error,
): Promise<RefreshResult> {
  const asked = error instanceof MetaApiError ? (error.retryAfterSeconds ?? 0) : 0;
  const waitSeconds = Math.min(DAY_SECONDS, Math.max(RETRY_SECONDS, asked));
  const outcome = await transaction(pool, async (db) => {
    const isOurs = await postponeRefresh(db, claim, { waitSeconds, isFailure: true });
    const result = isOurs ? ('failed' as const) : ('superseded' as const);
    await recordRefreshAttempt(db, {
      ...attemptOf(claim),
      outcome: result,
      errorCode: code,
      errorMessage: error.message,
    });
    return result;
  });
  logger.warn('token refresh failed', { metaAccountId: claim.id, outcome, failure: code });
  return { outcome, code };
}

/** The token is dead: nothing but a new login helps. */
async function endLogin(
  context: AppContext,
  claim: RefreshClaim,
  code: FailureCode,
  error: Error,
): Promise<RefreshResult> {
  const isOurs = await markLoginDead(context, claim, code);
  const outcome = isOurs ? 'needs_reconnect' : 'superseded';
  await recordRefreshAttempt(context.pool, {
    ...attemptOf(claim),
    outcome,
    errorCode: code,
    errorMessage: error.message,
  });
  logger.warn('token is dead', { metaAccountId: claim.id, outcome, failure: code });
  return { outcome, code };
}

function attemptOf({ id, startedAt, tokenExpiresAt }: RefreshClaim) {
  return { metaAccountId: id, startedAt, oldExpiresAt: tokenExpiresAt };
}
