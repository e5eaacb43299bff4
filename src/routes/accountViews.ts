import { type TFunction } from 'i18next';
import { type CheckLine } from '../connections/checkConnection';
import { type Config } from '../config';
import { explainFailure, type ExplainedFailure, turnOf } from '../failures';
import { FACEBOOK_SCOPES, missingScopes } from '../meta/scopes';
import { type WholeAccount } from '../models/instagramAccounts';
import { type RefreshAttempt } from '../models/tokenRefreshLog';
import { type Format } from '../utils/format';

export type AccountAction = 'check' | 'refresh' | 'resubscribe' | 'disconnect';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Why an action makes no sense now, as a key below `accounts:why`; null when it does. */
export function obstacle(account: WholeAccount, action: AccountAction): string | null {
  if (account.status === 'disconnected') return 'disconnected';
  if (action === 'check' || action === 'disconnect') return null;
  if (account.loginStatus === 'needs_reconnect') return 'dead';
  if (action === 'resubscribe') return null;
  if (account.tokenExpiresAt === null) return 'noExpiry';
  if (account.tokenExpiresAt.getTime() <= Date.now()) return 'dead';
  return account.tokenIssuedAt !== null && Date.now() - account.tokenIssuedAt.getTime() < DAY_MS
    ? 'young'
    : null;
}

/** What the API says of a connection: everything but tokens. */
export function accountJson(account: WholeAccount, { tokenRefreshThresholdDays }: Config): object {
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
    nextRefreshAt: nextRefresh(account, tokenRefreshThresholdDays),
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

/**
 * The first of the hourly runs that finds the token due: below the threshold, a day old, and not waiting after a try
 * that did not help. Null when none does before the token ends.
 */
export function nextRefresh(
  account: Pick<WholeAccount, 'loginStatus' | 'tokenExpiresAt' | 'tokenIssuedAt' | 'nextRefreshAt'>,
  thresholdDays: number,
  now = new Date(),
): Date | null {
  const { loginStatus, tokenExpiresAt, tokenIssuedAt, nextRefreshAt } = account;
  if (loginStatus !== 'active' || tokenExpiresAt === null) return null;
  const dueMs = Math.max(
    now.getTime(),
    tokenExpiresAt.getTime() - thresholdDays * DAY_MS,
    (tokenIssuedAt?.getTime() ?? 0) + DAY_MS,
    nextRefreshAt?.getTime() ?? 0,
  );
  const run = new Date(Math.ceil(dueMs / HOUR_MS) * HOUR_MS);
  return run < tokenExpiresAt ? run : null;
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

export function checkView(t: TFunction, format: Format, { at, lines }: { at: string; lines: CheckLine[] }) {
  return {
    at,
    lines: lines.map((line) => ({
      state: line.state,
      text: checkText(t, format, line),
      failure: line.code === null ? null : explainFailure(t, line.code),
    })),
  };
}

function checkText(t: TFunction, format: Format, { key, state, endsAt, missing = [] }: CheckLine): string {
  if (key === 'expiry' && state === 'passed' && endsAt === undefined) return t('accounts:check.expiry.never');
  return t(`accounts:check.${key}.${state}`, {
    date: endsAt === undefined ? '' : format.date(endsAt),
    fields: missing.join(', '),
  });
}
