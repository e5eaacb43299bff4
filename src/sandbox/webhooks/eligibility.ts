import { isGranted } from '../graph/checks';
import { INSTAGRAM_FIELDS } from '../permissions';
import { type Flow, type IgAccount, type Install, type SandboxState, type SuppressionReason } from '../state';
import { pageOfIgAccount } from '../world';

/** How Meta would deliver one event: over which login flows, or why not at all. */
export interface Eligibility {
  flows: Flow[];
  /** Empty exactly when there is a flow. */
  reasons: SuppressionReason[];
}

/** The preconditions of meta-platform §3.6 for an event of `field` on an Instagram account. */
export function eligibilityOf(state: SandboxState, account: IgAccount, field: string): Eligibility {
  const page = pageOfIgAccount(state, account.id);
  const connections = [
    ...(page?.installs ?? []).map((install) => ({ flow: 'facebook' as const, install })),
    ...account.installs.map((install) => ({ flow: 'instagram' as const, install })),
  ];
  const general = [
    ...(connections.length === 0 ? [notConnected(account)] : []),
    ...appReasons(state, 'instagram', field),
    ...accountReasons(state, account, field),
  ];
  if (general.length > 0) return { flows: [], reasons: general };

  const judged = connections.map(({ flow, install }) => ({
    flow,
    reason: connectionReason(state, account, field, flow, install),
  }));
  const flows = judged.filter(({ reason }) => reason === null).map(({ flow }) => flow);
  return {
    flows,
    reasons: flows.length > 0 ? [] : judged.flatMap(({ reason }) => (reason === null ? [] : [reason])),
  };
}

/** Whether the app asked for `field` of `object` at all; empty when it did. */
export function appReasons(state: SandboxState, object: string, field: string): SuppressionReason[] {
  const subscription = state.subscriptions.find((known) => known.object === object);
  if (subscription?.active !== true) {
    return [reason('app_not_subscribed', `The app has no active webhook subscription for “${object}”.`)];
  }
  const isSubscribed = object === 'permissions' || subscription.fields.some(({ name }) => name === field);
  return isSubscribed
    ? []
    : [reason('field_not_subscribed', `The app's subscription does not include the field “${field}”.`)];
}

function accountReasons(state: SandboxState, account: IgAccount, field: string): SuppressionReason[] {
  const permission = INSTAGRAM_FIELDS[field]?.facebook;
  if (state.app.mode === 'development') {
    return [
      reason('app_in_development', 'The app is in development mode: only people with a role on it count.'),
    ];
  }
  if (account.isPrivate && permission === 'instagram_manage_comments') {
    return [reason('account_private', `@${account.username} is private: comments are not notified.`)];
  }
  if (!account.allowsMessageAccess && permission === 'instagram_manage_messages') {
    return [
      reason('message_access_off', `@${account.username} has “Allow access to messages” switched off.`),
    ];
  }
  return [];
}

function connectionReason(
  state: SandboxState,
  account: IgAccount,
  field: string,
  flow: Flow,
  install: Install,
): SuppressionReason | null {
  const subjectId = flow === 'facebook' ? install.installedBy : account.id;
  const grant = state.grants.find((known) => known.flow === flow && known.subjectId === subjectId);
  const person = state.people.find(({ id }) => id === subjectId)?.name ?? `@${account.username}`;
  if (grant === undefined) {
    return reason('app_removed', `${person} has removed the app: connect this account in the app again.`);
  }
  if (flow === 'instagram' && !install.fields.includes(field)) {
    return reason('field_not_installed', `The app is installed on @${account.username} without “${field}”.`);
  }
  const permission = INSTAGRAM_FIELDS[field]?.[flow];
  if (permission === undefined || isGranted(grant, permission, account.id)) return null;
  return reason('permission_missing', `${person} has not granted ${permission} for @${account.username}.`);
}

function notConnected(account: IgAccount): SuppressionReason {
  return reason(
    'not_connected',
    `@${account.username} is not connected yet: connect this account in the app first.`,
  );
}

function reason(code: string, message: string): SuppressionReason {
  return { code, message };
}
