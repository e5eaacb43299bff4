import { isDatabaseAway, isDatabaseUnavailable } from '../../src/db/errors';

const failed = (code: string | undefined, message = 'x') => Object.assign(new Error(message), { code });

describe('a database error', () => {
  it.each([
    ['ECONNREFUSED', true, true],
    ['EPIPE', true, true],
    ['57P01', true, true],
    ['53300', true, true],
    ['57014', false, true],
    ['40P01', false, true],
    ['23505', false, false],
    ['22P02', false, false],
    ['ENOENT', false, false],
  ])('%s: away %p, unavailable %p', (code, isAway, isUnavailable) => {
    expect([isDatabaseAway(failed(code)), isDatabaseUnavailable(failed(code))]).toEqual([
      isAway,
      isUnavailable,
    ]);
  });

  it('without a code is told by what the driver says', () => {
    expect(isDatabaseAway(failed(undefined, 'Connection terminated unexpectedly'))).toBe(true);
    expect(isDatabaseAway(failed(undefined, 'timeout exceeded when trying to connect'))).toBe(true);
    expect(isDatabaseAway(failed(undefined, 'x is not a function'))).toBe(false);
    expect(isDatabaseAway('timeout')).toBe(false);
  });
});
