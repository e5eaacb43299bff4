import { type FailureCode, failureOf, tokenFailure } from '../failures';
import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { MetaApiError } from '../meta/errors';
import { debugToken } from '../meta/facebookLogin';
import { missingScopes } from '../meta/scopes';
import { type AccountStatus, markAccountsNeedReconnect } from '../models/instagramAccounts';
import { markMetaAccountNeedsReconnect } from '../models/metaAccounts';
import { logger } from '../utils/logger';

interface Judgement {
  status: Exclude<AccountStatus, 'disconnected'>;
  code: FailureCode | null;
}

/** How a connection with a working token stands. @param webhooks what is wrong with them; null when nothing is */
export function judge(scopes: readonly string[], webhooks: FailureCode | null): Judgement {
  if (webhooks !== null) return { status: 'webhooks_down', code: webhooks };
  if (missingScopes(scopes).length > 0) return { status: 'limited', code: 'permission_missing' };
  return { status: 'active', code: null };
}

/**
 * Asks Meta about a token after a call said it was dead: during an incident that answer is sometimes wrong, and would
 * disconnect everybody.
 * @returns why it is dead; null when it is alive or Meta cannot say
 */
export async function confirmDeath(
  { graph }: Pick<AppContext, 'graph'>,
  token: string,
  error: MetaApiError,
  signal?: AbortSignal,
): Promise<FailureCode | null> {
  try {
    const { isValid, subcode } = await debugToken(graph, token, { signal });
    return isValid ? null : subcode === null ? failureOf(error) : tokenFailure(subcode);
  } catch (problem) {
    if (!(problem instanceof MetaApiError)) throw problem;
    logger.warn('a dead token could not be confirmed', { code: problem.code, action: problem.action });
    return null;
  }
}

/** Marks a login and everything on it. @returns false when a newer token came in between: then nothing changed */
export function markLoginDead(
  { pool }: Pick<AppContext, 'pool'>,
  login: { id: string; tokenVersion: number },
  code: FailureCode,
): Promise<boolean> {
  return transaction(pool, async (db) => {
    if (!(await markMetaAccountNeedsReconnect(db, login, code))) return false;
    await markAccountsNeedReconnect(db, login.id, code);
    return true;
  });
}
