import { nextRefresh } from '../../src/routes/accountViews';

const NOW = new Date('2027-03-10T12:34:56Z');
const days = (count: number) => new Date(NOW.getTime() + count * 86_400_000);
const account = (values: Partial<Parameters<typeof nextRefresh>[0]>) => ({
  loginStatus: 'active' as const,
  tokenExpiresAt: days(30),
  tokenIssuedAt: days(-30),
  nextRefreshAt: null,
  ...values,
});
const next = (values: Parameters<typeof account>[0] = {}) =>
  nextRefresh(account(values), 5, NOW)?.toISOString() ?? null;

describe('nextRefresh', () => {
  it('is the first hourly run below the threshold', () => {
    expect(next()).toBe('2027-04-04T13:00:00.000Z');
    expect(next({ tokenExpiresAt: new Date('2027-04-09T02:00:00Z') })).toBe('2027-04-04T02:00:00.000Z');
  });

  it('is the next full hour for a token that is due', () => {
    expect(next({ tokenExpiresAt: days(3) })).toBe('2027-03-10T13:00:00.000Z');
  });

  it('waits as long as the last try asked for, but never lies in the past', () => {
    expect(next({ tokenExpiresAt: days(3), nextRefreshAt: days(0.1) })).toBe('2027-03-10T15:00:00.000Z');
    expect(next({ tokenExpiresAt: days(3), nextRefreshAt: days(-1) })).toBe('2027-03-10T13:00:00.000Z');
  });

  it('does not come before the threshold because a try by hand failed', () => {
    expect(next({ nextRefreshAt: days(0.05) })).toBe('2027-04-04T13:00:00.000Z');
  });

  it('waits until the token is a day old', () => {
    expect(next({ tokenExpiresAt: days(3), tokenIssuedAt: NOW })).toBe('2027-03-11T13:00:00.000Z');
  });

  it('is never for a token without an end, one that ends first, and a dead one', () => {
    expect(next({ tokenExpiresAt: null })).toBeNull();
    expect(next({ tokenExpiresAt: days(-1) })).toBeNull();
    expect(next({ tokenExpiresAt: days(0.01) })).toBeNull();
    expect(next({ loginStatus: 'needs_reconnect' })).toBeNull();
  });
});
