import { type TFunction } from 'i18next';
import { type MetaApiError } from './meta/errors';

/** Who has to act next. */
export type Turn = 'you' | 'administrator' | 'meta' | 'nobody';

/** What the button beside a failure does; null: nothing to press, waiting is enough. */
type Step = 'reconnect' | 'rerequest' | 'check' | 'refresh' | 'resubscribe' | 'connect' | 'accounts' | null;

interface Entry {
  turn: Turn;
  step: Step;
}

/**
 * Every way a connection can fail. A code is stable: it is stored, shown and documented. Its texts are
 * `failures:<code>.what` and `failures:<code>.next`.
 */
const FAILURES = {
  // The visit to Meta's dialog.
  login_cancelled: { turn: 'you', step: 'connect' },
  login_error: { turn: 'administrator', step: 'connect' },
  nothing_received: { turn: 'you', step: 'connect' },
  state_malformed: { turn: 'you', step: 'connect' },
  state_invalid: { turn: 'you', step: 'connect' },
  state_expired: { turn: 'you', step: 'connect' },
  state_foreign: { turn: 'you', step: 'connect' },
  state_used: { turn: 'you', step: 'accounts' },
  provider_off: { turn: 'administrator', step: 'accounts' },
  code_rejected: { turn: 'you', step: 'connect' },
  app_misconfigured: { turn: 'administrator', step: 'connect' },
  wrong_app: { turn: 'administrator', step: 'connect' },
  no_accounts: { turn: 'you', step: 'rerequest' },
  account_owned: { turn: 'you', step: 'accounts' },
  other_account: { turn: 'you', step: 'reconnect' },

  // The token.
  token_invalid: { turn: 'you', step: 'reconnect' },
  token_expired: { turn: 'you', step: 'reconnect' },
  app_removed: { turn: 'you', step: 'reconnect' },
  checkpoint: { turn: 'you', step: 'check' },
  password_changed: { turn: 'you', step: 'reconnect' },
  app_not_added: { turn: 'you', step: 'reconnect' },
  person_unconfirmed: { turn: 'you', step: 'check' },
  logged_out: { turn: 'you', step: 'reconnect' },
  inactive: { turn: 'you', step: 'reconnect' },
  page_role_lost: { turn: 'you', step: 'reconnect' },
  data_access_expired: { turn: 'you', step: 'reconnect' },
  token_unreadable: { turn: 'you', step: 'reconnect' },
  token_key_missing: { turn: 'administrator', step: 'check' },
  token_missing: { turn: 'you', step: 'reconnect' },

  // Renewing it.
  refresh_answer_invalid: { turn: 'nobody', step: 'refresh' },
  refresh_not_extended: { turn: 'you', step: 'reconnect' },
  token_check_disagrees: { turn: 'nobody', step: 'refresh' },

  // What it may do, and the webhooks.
  permission_missing: { turn: 'you', step: 'rerequest' },
  webhooks_unconfirmed: { turn: 'nobody', step: 'resubscribe' },
  webhooks_missing: { turn: 'nobody', step: 'resubscribe' },
  app_subscription_missing: { turn: 'administrator', step: 'check' },
  instagram_link_lost: { turn: 'you', step: 'check' },

  // Meta in general.
  meta_unreachable: { turn: 'meta', step: 'check' },
  meta_busy: { turn: 'nobody', step: 'check' },
  meta_blocked: { turn: 'administrator', step: 'check' },
  meta_refused: { turn: 'administrator', step: 'check' },

  // Ended.
  disconnected_by_you: { turn: 'nobody', step: 'connect' },
  deauthorized: { turn: 'nobody', step: 'connect' },
} as const satisfies Record<string, Entry>;

export type FailureCode = keyof typeof FAILURES;

/** What partials/failure shows. */
export interface ExplainedFailure {
  code: FailureCode;
  what: string;
  turn: Turn;
  /** The way on in words, and as a button where there is something to press. */
  next: { text: string; label?: string; href?: string; method?: 'get' | 'post' };
  /** To quote to somebody who helps. */
  details?: string;
}

/**
 * Everything a page says about a failure, in the reader's language.
 * @param code one that is not in the table (an older version's) counts as `meta_refused`
 * @param about the connection, where there is one, and lines to copy
 */
export function explainFailure(
  t: TFunction,
  code: string,
  { accountId = null, details }: { accountId?: string | null; details?: string | undefined } = {},
): ExplainedFailure {
  const known = isFailureCode(code) ? code : 'meta_refused';
  const { turn, step } = FAILURES[known];
  const text = t(`failures:${known}.next`);
  return {
    code: known,
    what: t(`failures:${known}.what`),
    turn,
    next: { text, ...button(t, step, accountId) },
    ...(details === undefined ? {} : { details }),
  };
}

/** Whose turn it is after a failure. */
export function turnOf(code: string): Turn {
  return FAILURES[isFailureCode(code) ? code : 'meta_refused'].turn;
}

export const FAILURE_CODES = Object.keys(FAILURES) as FailureCode[];

export function isFailureCode(code: string): code is FailureCode {
  return Object.hasOwn(FAILURES, code);
}

const START = '/oauth/start?provider=facebook';

function button(
  t: TFunction,
  step: Step,
  accountId: string | null,
): { label: string; href: string; method: 'get' | 'post' } | null {
  if (step === null) return null;
  const account = accountId === null ? '' : `&account=${accountId}`;
  const links: Partial<Record<NonNullable<Step>, string>> = {
    connect: START,
    reconnect: START + account,
    rerequest: `${START}${account}&rerequest=1`,
    accounts: '/accounts',
  };
  const href = links[step];
  if (href !== undefined) return { label: t(`failures:step.${step}`), href, method: 'get' };
  // Without an account there is nothing to check or renew: the way on is to connect again.
  if (accountId === null) return { label: t('failures:step.connect'), href: START, method: 'get' };
  return { label: t(`failures:step.${step}`), href: `/accounts/${accountId}/${step}`, method: 'post' };
}

/** Subcodes of 190 and 102. @see meta-platform §2.3 */
const TOKEN_FAILURES: Readonly<Record<number, FailureCode>> = {
  458: 'app_removed',
  459: 'checkpoint',
  460: 'password_changed',
  461: 'app_not_added',
  463: 'token_expired',
  464: 'person_unconfirmed',
  467: 'logged_out',
  468: 'inactive',
  492: 'page_role_lost',
};
const DEAD_TOKEN: ReadonlySet<FailureCode> = new Set<FailureCode>([
  ...Object.values(TOKEN_FAILURES),
  'token_invalid',
  'token_missing',
  'token_unreadable',
]);

/** True when the code says that a token cannot be used any more, whatever is tried. */
export function isTokenDead(code: FailureCode): boolean {
  return DEAD_TOKEN.has(code);
}

export function tokenFailure(subcode: number | null): FailureCode {
  return TOKEN_FAILURES[subcode ?? 0] ?? 'token_invalid';
}

/** Our code for a call that Meta refused or that did not come through. */
export function failureOf({ action, code, status, subcode }: MetaApiError): FailureCode {
  switch (action) {
    case 'reconnect':
      return tokenFailure(subcode);
    case 'permission':
      return code === 3 ? 'app_misconfigured' : 'permission_missing';
    case 'throttle':
      return 'meta_busy';
    case 'retry':
    case 'ambiguous':
      return 'meta_unreachable';
    case 'operator':
      return code === 368 ? 'meta_blocked' : 'meta_refused';
    case 'reject':
      // An object that is gone or that the token may no longer see.
      return code === 100 && subcode === 33 && status !== 0 ? 'instagram_link_lost' : 'meta_refused';
  }
}
