import { eventFailureOf, PermanentError } from '../../src/connections/eventFailure';
import { StoredTokenError } from '../../src/connections/storedTokens';
import { MetaApiError, type MetaApiErrorDetails } from '../../src/meta/errors';

const refused = (details: Partial<MetaApiErrorDetails>, message = 'x') =>
  new MetaApiError(message, {
    status: 400,
    code: null,
    subcode: null,
    isTransient: false,
    traceId: null,
    isWrite: false,
    retryAfterSeconds: null,
    ...details,
  });

it.each<[string, unknown, 'failed' | 'dead_letter', string]>([
  ['no answer', refused({ status: 0 }), 'failed', 'meta_unreachable'],
  ['a page of an edge proxy', refused({ status: 502 }), 'failed', 'meta_unreachable'],
  ['trouble at Meta', refused({ status: 500, code: 2 }), 'failed', 'meta_unreachable'],
  ['the limit of the app', refused({ code: 4 }), 'failed', 'meta_busy'],
  ['the limit of the account', refused({ code: 80002 }), 'failed', 'meta_busy'],
  ['a 190 nobody confirmed', refused({ code: 190, subcode: 460 }), 'failed', 'token_check_disagrees'],
  ['a dead token', new PermanentError('needs_reconnect', 'x'), 'dead_letter', 'needs_reconnect'],
  ['a token that is not there', new StoredTokenError('token_missing'), 'dead_letter', 'needs_reconnect'],
  ['a key that is not there', new StoredTokenError('token_key_missing'), 'dead_letter', 'token_key_missing'],
  ['a permission', refused({ code: 10 }), 'dead_letter', 'needs_permission'],
  [
    'a permission by name',
    new PermanentError('needs_permission:instagram_basic', 'x'),
    'dead_letter',
    'needs_permission:instagram_basic',
  ],
  ['what the app may not', refused({ code: 3 }), 'dead_letter', 'app_misconfigured'],
  ['a block', refused({ code: 368 }), 'dead_letter', 'meta_blocked'],
  ['a wrong question', refused({ code: 100 }), 'dead_letter', 'meta_refused'],
  ['an unreadable payload', new PermanentError('unparseable', 'x'), 'dead_letter', 'unparseable'],
  ['a defect of ours', new TypeError('x'), 'failed', 'processing_failed'],
  ['something thrown that is no error', 'x', 'failed', 'processing_failed'],
])('%s', (_name, error, outcome, errorCode) => {
  expect(eventFailureOf(error)).toEqual({
    outcome,
    errorCode,
    errorMessage: expect.any(String) as string,
    retryAfterSeconds: null,
  });
});

it('tells no secret, and at most a kilobyte', () => {
  const { errorMessage } = eventFailureOf(new Error(`access_token=EAAsecret123 ${'é'.repeat(2000)}`));
  expect(errorMessage).not.toContain('EAAsecret123');
  expect(Buffer.byteLength(errorMessage)).toBeLessThanOrEqual(1000);
  expect(errorMessage).toMatch(/é$/);
});

it('passes on how long Meta asked to wait', () => {
  expect(eventFailureOf(refused({ code: 4, retryAfterSeconds: 90 })).retryAfterSeconds).toBe(90);
});
