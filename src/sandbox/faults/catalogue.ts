import { type FaultRule } from '../state';
import { deadToken } from '../graph/tokenErrors';
import { accountOf, appUsage, businessUsage } from '../graph/usage';
import { type GraphCall } from '../graph/call';
import { type GraphErrorDetails } from '../graph/errors';

/** Faults that answer with an error envelope, by name. `null` means the fault does not concern this call. */
export const errorFaults: Record<string, (call: GraphCall, rule: FaultRule) => GraphErrorDetails | null> = {
  token_expired: (call) => tokenFault(call, 463),
  password_changed: (call) => tokenFault(call, 460),
  logged_out: (call) => tokenFault(call, 467),
  checkpoint: (call) => {
    const fault = tokenFault(call, 459);
    return fault && { ...fault, data: { checkpoint_url: `${call.world.url}/www.facebook.com/checkpoint` } };
  },
  unconfirmed: (call) => tokenFault(call, 464),
  app_removed: (call) => tokenFault(call, 458),
  role_lost: (call) => tokenFault(call, 492),

  data_access_expired: (call, rule) =>
    accountOf(call) === null
      ? null
      : {
          code: numberParam(rule, 'code', 10),
          message: "(#10) The app's access to the person's data has expired",
        },
  permission_revoked: (_call, rule) => ({
    code: numberParam(rule, 'code', 200),
    status: 403,
    message: `(#200) Requires ${textParam(rule, 'permission', 'instagram_manage_comments')} permission`,
  }),

  app_limit: (_call, rule) => ({
    status: numberParam(rule, 'status', 400),
    code: 4,
    message: '(#4) Application request limit reached',
    headers: { 'x-app-usage': appUsage(100 + rule.fired) },
  }),
  ig_limit: (call, rule) => {
    const accountId = accountOf(call) ?? textParam(rule, 'account', rule.match.account ?? '');
    if (accountId === '') return null;
    const minutes = numberParam(rule, 'minutes', 5) + rule.fired - 1;
    return {
      status: numberParam(rule, 'status', 400),
      code: 80_002,
      message: '(#80002) There have been too many calls to this Instagram account.',
      headers: { 'x-business-use-case-usage': businessUsage(accountId, 100 + rule.fired, minutes) },
    };
  },
  page_limit: () => ({ code: 32, message: '(#32) Page request limit reached' }),
  user_limit: () => ({ code: 17, message: '(#17) User request limit reached' }),
  custom_limit: () => ({ code: 613, message: '(#613) Calls to this api have exceeded the rate limit.' }),
  spam_block: () => ({
    code: 4,
    subcode: 2_207_051,
    message: 'The action has been blocked: it looks like spam',
  }),
  policy_block: () => ({ code: 368, message: 'The action attempted has been deemed abusive' }),

  transient: (_call, rule) => ({
    status: numberParam(rule, 'status', 503),
    code: numberParam(rule, 'code', 2),
    message: '(#2) Service temporarily unavailable',
    isTransient: true,
  }),
  ambiguous_send: (_call, rule) =>
    textParam(rule, 'kind', 'error') === 'sent_anyway'
      ? { code: 1, subcode: 1_357_046, message: 'The message was sent' }
      : { status: 500, code: 2, message: '(#2) Service temporarily unavailable' },
  error: (_call, rule) => ({
    status: numberParam(rule, 'status', 400),
    code: numberParam(rule, 'code', 1),
    message: textParam(rule, 'message', 'An unknown error occurred'),
    ...(rule.params['subcode'] === undefined ? {} : { subcode: numberParam(rule, 'subcode', 0) }),
  }),
};

/** Faults that spoil an answer on its way instead of replacing it. */
export const answerFaults = ['slow', 'drop', 'malformed', 'unexpected_shape', 'empty_page'];

export function isKnownFault(action: string): boolean {
  return Object.hasOwn(errorFaults, action) || answerFaults.includes(action);
}

export function numberParam(rule: FaultRule, name: string, otherwise: number): number {
  const value = rule.params[name];
  return typeof value === 'number' ? value : otherwise;
}

export function textParam(rule: FaultRule, name: string, otherwise: string): string {
  const value = rule.params[name];
  return typeof value === 'string' ? value : otherwise;
}

/** Only a token of a person can die this way; the app's own goes on working. */
function tokenFault(call: GraphCall, subcode: number): GraphErrorDetails | null {
  if (call.token === null || call.token.kind === 'APP') return null;
  const now = call.world.now();
  return deadToken(subcode, now, now - 3_600_000).details;
}
