import { type TFunction } from 'i18next';
import { type CheckLine } from '../connections/checkConnection';
import { type Config } from '../config';
import { explainFailure, type ExplainedFailure, turnOf } from '../failures';
import { FACEBOOK_SCOPES, missingScopes } from '../meta/scopes';
import { type WholeAccount } from '../models/instagramAccounts';
import { type RefreshAttempt } from '../models/tokenRefreshLog';

export type AccountAction = 'check' | 'refresh' | 'resubscribe' | 'disconnect';

const DAY_MS = 86_400_000;
const REFRESH_HOUR_UTC = 2;

/** Why an action makes no sense now, as a key below `accounts:why`; null when it does. */
export function obstacle(account: WholeAccount, action: AccountAction): string | null {
  if (account.status === 'disconnected') return 'disconnected';
  if (action === 'check' || action === 'disconnect') return null;
  if (account.loginStatus === 'needs_reconnect') return 'dead';
  if (action === 'resubscribe') return null;
  if (account.tokenExpiresAt === null) return 'noExpiry';
  return account.tokenIssuedAt !== null && Date.now() - account.tokenIssuedAt.getTime() < DAY_MS
    ? 'young'
    : null;
}

/** What the API says of a connection: everything but tokens. */
export function accountJson(account: WholeAccount): object {
  const { subscriptionCode, subscriptionCheckedAt, statusCode } = account;
  return {
    id: account.id,
    igUserId: account.igUserId,
    username: account.username,
    name: account.name,
    followersCount: account.followersCount,
    mediaCount: account.mediaCount,
    provider: account.provider,
    pageId: account.pageId,
    pageName: account.pageName,
    status: account.status,
    failure: statusCode === null ? null : { code: statusCode, turn: turnOf(statusCode) },
    statusChangedAt: account.statusChangedAt,
    scopes: account.scopes,
    missingScopes: missingScopes(account.scopes),
    tokenExpiresAt: account.tokenExpiresAt,
    dataAccessExpiresAt: account.dataAccessExpiresAt,
    nextRefreshAt: account.nextRefreshAt,
    subscription: {
      wanted: account.wantedFields,
      confirmed: account.confirmedFields,
      code: subscriptionCode,
      checkedAt: subscriptionCheckedAt,
    },
    lastEventAt: account.lastEventAt,
    connectedAt: account.connectedAt,
    disconnectedAt: account.disconnectedAt,
  };
}

export interface AccountView extends WholeAccount {
  failure: ExplainedFailure | null;
  reconnectHref: string;
  permissions: { name: string; purpose: string; isGranted: boolean; isNeeded: boolean }[];
  missingCount: number;
  fields: { name: string; isConfirmed: boolean }[];
  /** The next try by itself; null when none is planned. */
  nextRefresh: Date | null;
  /** By action: why it cannot be done now, null when it can. */
  why: Record<AccountAction, string | null>;
}

export function accountView(t: TFunction, account: WholeAccount, config: Config): AccountView {
  const why = (action: AccountAction) => {
    const reason = obstacle(account, action);
    return reason === null ? null : t(`accounts:why.${reason}`);
  };
  return {
    ...account,
    failure:
      account.statusCode === null ? null : explainFailure(t, account.statusCode, { accountId: account.id }),
    reconnectHref: `/oauth/start?provider=facebook&account=${account.id}`,
    permissions: FACEBOOK_SCOPES.filter(
      ({ name, isNeeded }) => isNeeded || account.scopes.includes(name),
    ).map(({ name, purpose, isNeeded }) => ({
      name,
      purpose: t(`accounts:scope.${purpose}`),
      isGranted: account.scopes.includes(name),
      isNeeded,
    })),
    missingCount: missingScopes(account.scopes).length,
    fields: account.wantedFields.map((name) => ({
      name,
      isConfirmed: account.confirmedFields.includes(name),
    })),
    nextRefresh: nextRefresh(account, config.tokenRefreshThresholdDays),
    why: {
      check: why('check'),
      refresh: why('refresh'),
      resubscribe: why('resubscribe'),
      disconnect: why('disconnect'),
    },
  };
}

/** When the timer (02:00 UTC) first finds the token below the threshold, or a failed try is repeated. */
function nextRefresh(account: WholeAccount, thresholdDays: number): Date | null {
  if (account.loginStatus !== 'active' || account.tokenExpiresAt === null) return null;
  if (account.nextRefreshAt !== null) return account.nextRefreshAt;
  const from = new Date(Math.max(Date.now(), account.tokenExpiresAt.getTime() - thresholdDays * DAY_MS));
  const run = Date.UTC(from.getUTCFullYear(), from.getUTCMonth(), from.getUTCDate(), REFRESH_HOUR_UTC);
  return new Date(run < from.getTime() ? run + DAY_MS : run);
}

export function attemptView(t: TFunction, attempt: RefreshAttempt) {
  const { outcome, errorCode, startedAt, newExpiresAt } = attempt;
  return {
    at: startedAt,
    outcome,
    text: t(`accounts:outcome.${outcome}`),
    reason: errorCode === null ? null : explainFailure(t, errorCode).what,
    newExpiresAt,
  };
}

export function checkView(t: TFunction, { at, lines }: { at: string; lines: CheckLine[] }) {
  return {
    at,
    lines: lines.map(({ key, state, code }) => ({
      state,
      text: t(`accounts:check.${key}.${state}`),
      failure: code === null ? null : explainFailure(t, code),
    })),
  };
}
