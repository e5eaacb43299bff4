import { type Action, classify, MetaApiError } from '../../src/meta/errors';
import { FAILURE_CODES, failureOf } from '../../src/failures';
import fs from 'node:fs';
import path from 'node:path';
import { VIEWS_DIR } from '../../src/utils/paths';

type Row = [
  code: number | null,
  subcode: number | null,
  action: Action,
  values?: { status?: number; isTransient?: boolean },
];

/** meta-platform §2.2–2.4, as a read. */
const ROWS: Row[] = [
  [1, null, 'retry'],
  [2, null, 'retry'],
  [-1, 2207001, 'retry'],
  [-2, 2207003, 'retry'],
  [3, null, 'permission'],
  [4, null, 'throttle'],
  [4, 2207051, 'reject'],
  [10, null, 'permission'],
  [10, 2534022, 'reject'],
  [10, 2018278, 'reject'],
  [10, 2018108, 'reject'],
  [10, 1893063, 'reject'],
  [17, null, 'throttle'],
  [20, 1772107, 'reject'],
  [32, null, 'throttle'],
  [100, null, 'reject'],
  [100, 33, 'reject'],
  [100, null, 'retry', { status: 500 }],
  [102, null, 'reconnect'],
  [190, null, 'reconnect'],
  [190, 463, 'reconnect', { status: 500 }],
  [200, null, 'permission'],
  [210, null, 'permission', { status: 403 }],
  [299, null, 'permission'],
  [300, null, 'reject'],
  [341, null, 'throttle'],
  [368, null, 'operator'],
  [506, null, 'reject'],
  [551, 1545041, 'reject'],
  [613, 1996, 'throttle'],
  [613, 2534040, 'throttle'],
  [2500, null, 'reject'],
  [80001, null, 'throttle'],
  [80002, null, 'throttle', { status: 429 }],
  [80014, null, 'throttle'],
  [1, 1357046, 'ambiguous'],
  [9999, null, 'retry', { isTransient: true }],
  [null, null, 'throttle', { status: 429 }],
  [null, null, 'retry', { status: 0 }],
  [null, null, 'retry', { status: 200 }],
  [null, null, 'retry', { status: 502 }],
  [null, null, 'operator', { status: 302 }],
  [null, null, 'operator', { status: 404 }],
];

describe('classify', () => {
  it.each(ROWS)(
    'code %p, subcode %p: %s',
    (code, subcode, action, { status = 400, isTransient = false } = {}) => {
      expect(classify({ code, subcode, status, isTransient, isWrite: false })).toBe(action);
    },
  );

  it('never calls a failed write retryable', () => {
    const actions = ROWS.map(([code, subcode, , { status = 400, isTransient = false } = {}]) =>
      classify({ code, subcode, status, isTransient, isWrite: true }),
    );
    expect(actions).not.toContain('retry');
    expect(classify({ code: null, subcode: null, status: 0, isTransient: false, isWrite: true })).toBe(
      'ambiguous',
    );
  });
});

const error = (code: number | null, subcode: number | null = null, status = 400, message = 'text') =>
  new MetaApiError(message, {
    code,
    subcode,
    status,
    isTransient: false,
    isWrite: false,
    traceId: null,
    retryAfterSeconds: null,
  });

describe('failureOf', () => {
  it.each([
    [error(190), 'token_invalid'],
    [error(190, 458), 'app_removed'],
    [error(190, 459), 'checkpoint'],
    [error(190, 460), 'password_changed'],
    [error(190, 461), 'app_not_added'],
    [error(190, 463), 'token_expired'],
    [error(190, 464), 'person_unconfirmed'],
    [error(190, 467), 'logged_out'],
    [error(190, 468), 'inactive'],
    [error(190, 492), 'page_role_lost'],
    [error(102, 463), 'token_expired'],
    [error(10), 'permission_missing'],
    [error(200), 'permission_missing'],
    [error(3), 'app_misconfigured'],
    [error(4), 'meta_busy'],
    [error(80002), 'meta_busy'],
    [error(2), 'meta_unreachable'],
    [error(null, null, 0), 'meta_unreachable'],
    [error(368), 'meta_blocked'],
    [error(100, 33), 'instagram_link_lost'],
    [error(100), 'meta_refused'],
  ])('%# maps to %s', (given, code) => {
    expect(failureOf(given)).toBe(code);
  });

  it('has texts for every code, and no text without one', () => {
    const file = path.join(VIEWS_DIR, 'locales/en/failures.json');
    const texts = JSON.parse(fs.readFileSync(file, 'utf8')) as Record<
      string,
      { what?: string; next?: string }
    >;
    const { turn, step, ...failures } = texts;
    expect(Object.keys(failures).sort()).toEqual([...FAILURE_CODES].sort());
    for (const { what, next } of Object.values(failures)) expect(what && next).toBeTruthy();
    expect(turn && step).toBeTruthy();
  });
});

describe('MetaApiError', () => {
  it('never carries a token in its message, and is never long', () => {
    const given = error(190, null, 400, `bad access_token=EAADEMOsecret1 ${'x'.repeat(5000)}`);
    expect(given.message).not.toContain('EAADEMOsecret1');
    expect(given.message.length).toBeLessThanOrEqual(1000);
  });
});
