import { openUserToken } from '../../src/connections/storedTokens';
import { disconnect } from '../../src/connections/disconnect';
import { type AppContext, closeContext, createContext } from '../../src/context';
import { refreshTokens } from '../../src/jobs/refresh-tokens';
import { findEncryptedUserToken, setUserToken, upsertMetaAccount } from '../../src/models/metaAccounts';
import { listRefreshAttempts } from '../../src/models/tokenRefreshLog';
import { logger } from '../../src/utils/logger';
import { testConfig } from '../support/app';
import { useDatabase } from '../support/database';
import { makeUser } from '../support/factories';
import { makeLogin } from '../support/logins';
import { ALIVE, renewed, type RudeAnswer, useRudeMeta } from '../support/rudeMeta';

const { config: database, pool } = useDatabase();
const meta = useRudeMeta();
const neverStop = new AbortController().signal;
let context: AppContext;
let userId: string;

beforeAll(() => {
  logger.silent = true;
  context = createContext(
    testConfig('http://localhost:3000', database.connectionString, { META_GRAPH_BASE: meta.url }),
  );
});
beforeEach(async () => {
  await pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
  userId = (await makeUser(pool)).id;
});
afterAll(() => closeContext(context));

interface LoginRow {
  status: string;
  statusCode: string | null;
  version: number;
  daysLeft: number | null;
  nextInHours: number | null;
  leased: boolean;
  failures: number;
}

async function loginRow(id: string): Promise<LoginRow> {
  const { rows } = await pool.query<LoginRow>(
    `SELECT status, status_code AS "statusCode", token_version AS version, refresh_failures AS failures,
       round(extract(epoch FROM token_expires_at - now()) / 86400)::int AS "daysLeft",
       round(extract(epoch FROM next_refresh_at - now()) / 3600)::int AS "nextInHours",
       refresh_lease_token IS NOT NULL AS leased
     FROM meta_accounts WHERE id = $1`,
    [id],
  );
  return rows[0]!;
}

async function tokenOf(id: string): Promise<string> {
  return openUserToken(context.config.tokenKeys, (await findEncryptedUserToken(pool, id))!);
}

const attempts = (id: string) => listRefreshAttempts(pool, id, 10);
const accountStatus = async (accountId: string) =>
  (
    await pool.query<{ status: string; status_code: string | null }>(
      'SELECT status, status_code FROM instagram_accounts WHERE id = $1',
      [accountId],
    )
  ).rows[0];

describe('refreshTokens', () => {
  it('renews what is due and leaves a line in its history', async () => {
    const login = await makeLogin(context, userId);
    expect(await refreshTokens(context, neverStop)).toMatchObject({ refreshed: 1, failed: 0 });
    expect(await loginRow(login.id)).toEqual({
      status: 'active',
      statusCode: null,
      version: 2,
      daysLeft: 60,
      nextInHours: null,
      leased: false,
      failures: 0,
    });
    expect(await tokenOf(login.id)).toBe(`${login.token}new`);
    expect(await attempts(login.id)).toMatchObject([
      {
        outcome: 'refreshed',
        errorCode: null,
        oldExpiresAt: expect.any(Date),
        newExpiresAt: expect.any(Date),
      },
    ]);
  });

  it.each([
    ['a minute below the threshold', { expiresIn: '6 days 23:59:00' }, true],
    ['a minute above it', { expiresIn: '7 days 00:01:00' }, false],
    ['no end', { expiresIn: null }, false],
    ['issued 25 hours ago', { issuedAgo: '25 hours' }, true],
    ['issued 23 hours ago', { issuedAgo: '23 hours' }, false],
  ])('asks only when due: %s', async (_name, values, isDue) => {
    await makeLogin(context, userId, values);
    await refreshTokens(context, neverStop);
    expect(meta.asked).toHaveLength(isDue ? 1 : 0);
  });

  it('asks for an ended token to be reconnected without a call', async () => {
    const login = await makeLogin(context, userId, { expiresIn: '-1 minute' });
    expect(await refreshTokens(context, neverStop)).toMatchObject({ expired: 1, failed: 0 });
    expect(meta.asked).toEqual([]);
    expect(await loginRow(login.id)).toMatchObject({
      status: 'needs_reconnect',
      statusCode: 'token_expired',
    });
    expect(await accountStatus(login.accountId)).toEqual({
      status: 'needs_reconnect',
      status_code: 'token_expired',
    });
    expect(await attempts(login.id)).toMatchObject([
      { outcome: 'needs_reconnect', errorCode: 'token_expired' },
    ]);
    expect(await refreshTokens(context, neverStop)).toMatchObject({ expired: 0 });
  });

  it.each<[string, RudeAnswer, string]>([
    ['500', { status: 500, body: '{"error":{"code":1,"message":"x"}}' }, 'meta_unreachable'],
    ['a time-out of Meta', { status: 503, body: '{"error":{"code":2,"message":"x"}}' }, 'meta_unreachable'],
    ['a dropped connection', { drop: true }, 'meta_unreachable'],
    ['HTML with 200', { body: '<html></html>' }, 'refresh_answer_invalid'],
    ['an empty answer', { body: '' }, 'refresh_answer_invalid'],
    ['no token', { body: '{"expires_in":5184000}' }, 'refresh_answer_invalid'],
    ['an empty token', { body: renewed('') }, 'refresh_answer_invalid'],
    ['a token of spaces', { body: renewed('   ') }, 'refresh_answer_invalid'],
    ['a number as token', { body: '{"access_token":5,"expires_in":5184000}' }, 'refresh_answer_invalid'],
    ['no expires_in', { body: '{"access_token":"EAANEW"}' }, 'refresh_answer_invalid'],
    ['expires_in 0', { body: renewed('EAANEW', 0) }, 'refresh_answer_invalid'],
    ['expires_in -1', { body: renewed('EAANEW', -1) }, 'refresh_answer_invalid'],
    ['expires_in as text', { body: renewed('EAANEW', '5184000') }, 'refresh_answer_invalid'],
    ['expires_in 1e18', { body: '{"access_token":"EAANEW","expires_in":1e18}' }, 'refresh_answer_invalid'],
    ['expires_in null', { body: renewed('EAANEW', null) }, 'refresh_answer_invalid'],
    ['expires_in 1.5', { body: renewed('EAANEW', 1.5) }, 'refresh_answer_invalid'],
    ['code 4', { status: 400, body: '{"error":{"code":4,"message":"x"}}' }, 'meta_busy'],
    ['429', { status: 429, headers: { 'Retry-After': '60' } }, 'meta_busy'],
    ['code 200', { status: 403, body: '{"error":{"code":200,"message":"x"}}' }, 'permission_missing'],
  ])(
    'keeps the old token on %s, tries again in an hour, and renews the others',
    async (_name, answer, code) => {
      const bad = await makeLogin(context, userId);
      const good = await Promise.all([1, 2, 3].map(() => makeLogin(context, userId)));
      meta.renewals.set(bad.token, answer);
      expect(await refreshTokens(context, neverStop)).toMatchObject({
        refreshed: 3,
        failed: 1,
        needReconnect: 0,
      });
      expect(await tokenOf(bad.id)).toBe(bad.token);
      expect(await loginRow(bad.id)).toMatchObject({
        status: 'active',
        version: 1,
        daysLeft: 5,
        nextInHours: 1,
        failures: 1,
        leased: false,
      });
      expect(await attempts(bad.id)).toMatchObject([
        { outcome: 'failed', errorCode: code, newExpiresAt: null },
      ]);
      expect(await accountStatus(bad.accountId)).toEqual({ status: 'active', status_code: null });
      for (const { id } of good) expect(await loginRow(id)).toMatchObject({ daysLeft: 60 });
      // Not again before the hour is over; then again.
      await refreshTokens(context, neverStop);
      expect(meta.asked.filter((token) => token === bad.token)).toHaveLength(1);
      await pool.query(
        `UPDATE meta_accounts SET next_refresh_at = now() - interval '1 second' WHERE id = $1`,
        [bad.id],
      );
      meta.renewals.clear();
      expect(await refreshTokens(context, neverStop)).toMatchObject({ refreshed: 1 });
    },
  );

  it('waits as long as Meta asks for', async () => {
    const login = await makeLogin(context, userId);
    meta.renewals.set(login.token, { status: 429, headers: { 'Retry-After': '18000' } });
    await refreshTokens(context, neverStop);
    expect(await loginRow(login.id)).toMatchObject({ nextInHours: 5 });
  });

  it('never stores or shows a token in its history', async () => {
    const login = await makeLogin(context, userId);
    const message = `Bad ${login.token} at https://graph/x?access_token=${login.token}&client_secret=demo-meta-app-secret ${'y'.repeat(5000)}`;
    meta.renewals.set(login.token, { status: 500, body: JSON.stringify({ error: { code: 1, message } }) });
    await refreshTokens(context, neverStop);
    const [attempt] = await attempts(login.id);
    expect(attempt!.errorMessage!.length).toBeLessThanOrEqual(1000);
    expect(attempt!.errorMessage).not.toMatch(/EAADEMO|demo-meta/);
  });

  it('tries tomorrow when Meta hands back no later end', async () => {
    const login = await makeLogin(context, userId);
    meta.renewals.set(login.token, { body: renewed(login.token, 5 * 86_400) });
    expect(await refreshTokens(context, neverStop)).toMatchObject({ unchanged: 1, failed: 0 });
    expect(await loginRow(login.id)).toMatchObject({
      status: 'active',
      version: 1,
      daysLeft: 5,
      nextInHours: 24,
    });
    expect(await attempts(login.id)).toMatchObject([
      { outcome: 'unchanged', errorCode: 'refresh_not_extended' },
    ]);
  });

  it('asks for a dead token to be reconnected, once Meta has confirmed it, and asks no more', async () => {
    const login = await makeLogin(context, userId);
    meta.renewals.set(login.token, {
      status: 400,
      body: '{"error":{"code":190,"error_subcode":463,"message":"x"}}',
    });
    expect(await refreshTokens(context, neverStop)).toMatchObject({ needReconnect: 1, failed: 0 });
    expect(await loginRow(login.id)).toMatchObject({
      status: 'needs_reconnect',
      statusCode: 'password_changed',
    });
    expect(await accountStatus(login.accountId)).toEqual({
      status: 'needs_reconnect',
      status_code: 'password_changed',
    });
    await refreshTokens(context, neverStop);
    expect(meta.asked).toHaveLength(1);
  });

  it.each<[string, RudeAnswer]>([
    ['calls the token valid', { body: ALIVE }],
    ['cannot say', { status: 400, body: '{"error":{"code":4,"message":"x"}}' }],
  ])('does not believe a 190 while debug_token %s', async (_name, answer) => {
    const login = await makeLogin(context, userId);
    meta.renewals.set(login.token, { status: 400, body: '{"error":{"code":190,"message":"x"}}' });
    meta.debugged.set(login.token, answer);
    expect(await refreshTokens(context, neverStop)).toMatchObject({ needReconnect: 0, failed: 1 });
    expect(await loginRow(login.id)).toMatchObject({ status: 'active', nextInHours: 1 });
  });

  it('makes no call with a token of another row, and leaves the others alone', async () => {
    const [first, second, third] = [
      await makeLogin(context, userId),
      await makeLogin(context, userId),
      await makeLogin(context, userId),
    ];
    await pool.query(
      `UPDATE meta_accounts SET user_token = other.user_token FROM meta_accounts other
       WHERE meta_accounts.id IN ($1, $2) AND other.id IN ($1, $2) AND other.id <> meta_accounts.id`,
      [first.id, second.id],
    );
    expect(await refreshTokens(context, neverStop)).toMatchObject({ refreshed: 1, needReconnect: 2 });
    expect(meta.asked).toEqual([third.token]);
    expect(await loginRow(first.id)).toMatchObject({
      status: 'needs_reconnect',
      statusCode: 'token_unreadable',
    });
  });

  it('blames the missing key, not the connection, when a key was left out', async () => {
    const login = await makeLogin(context, userId);
    await pool.query(
      `UPDATE meta_accounts SET user_token = replace(user_token, 'v1.k1.', 'v1.k0.') WHERE id = $1`,
      [login.id],
    );
    expect(await refreshTokens(context, neverStop)).toMatchObject({ failed: 1 });
    expect(meta.asked).toEqual([]);
    expect(await loginRow(login.id)).toMatchObject({ status: 'active' });
    expect(await attempts(login.id)).toMatchObject([{ errorCode: 'token_key_missing' }]);
  });

  it('calls once for each when two runs overlap, five at a time at most in each', async () => {
    const logins = await Promise.all(Array.from({ length: 20 }, () => makeLogin(context, userId)));
    meta.delayMs = 100;
    const runs = await Promise.all([refreshTokens(context, neverStop), refreshTokens(context, neverStop)]);
    expect(runs.map(({ refreshed }) => refreshed).reduce((a, b) => a + b)).toBe(20);
    expect([...meta.asked].sort()).toEqual(logins.map(({ token }) => token).sort());
    expect(meta.mostAtOnce).toBeLessThanOrEqual(10);
    const { rows } = await pool.query('SELECT count(*)::int AS lines FROM token_refresh_log');
    expect(rows).toEqual([{ lines: 20 }]);
  });

  it('renews five at a time', async () => {
    await Promise.all(Array.from({ length: 12 }, () => makeLogin(context, userId)));
    meta.delayMs = 50;
    await refreshTokens(context, neverStop);
    expect(meta.mostAtOnce).toBe(5);
  });

  it('does not bring a disconnected login back', async () => {
    const login = await makeLogin(context, userId);
    meta.beforeAnswer = async () => {
      meta.beforeAnswer = null;
      expect(await disconnect(context, userId, login.accountId)).toBe(true);
    };
    expect(await refreshTokens(context, neverStop)).toMatchObject({ superseded: 1, refreshed: 0 });
    expect(await loginRow(login.id)).toMatchObject({ status: 'disconnected' });
    expect((await findEncryptedUserToken(pool, login.id))!.userToken).toBeNull();
  });

  it('does not put its token over that of a login made meanwhile', async () => {
    const login = await makeLogin(context, userId);
    meta.beforeAnswer = async () => {
      const { rows } = await pool.query<{ meta_user_id: string }>('SELECT meta_user_id FROM meta_accounts');
      await upsertMetaAccount(pool, {
        userId,
        provider: 'facebook',
        metaUserId: rows[0]!.meta_user_id,
        name: null,
        tokenExpiresAt: new Date(Date.now() + 30 * 86_400_000),
        dataAccessExpiresAt: null,
        scopes: [],
        declinedScopes: [],
      });
      await setUserToken(pool, login.id, 'the newer token');
    };
    expect(await refreshTokens(context, neverStop)).toMatchObject({ superseded: 1 });
    expect((await findEncryptedUserToken(pool, login.id))!.userToken).toBe('the newer token');
    expect(await loginRow(login.id)).toMatchObject({ version: 2, daysLeft: 30 });
    expect(await attempts(login.id)).toMatchObject([{ outcome: 'superseded' }]);
  });

  it('leaves a login alone while another run holds it, and takes it over when that run died', async () => {
    const login = await makeLogin(context, userId);
    await pool.query(
      `UPDATE meta_accounts SET refresh_lease_token = gen_random_uuid(), refresh_lease_until = now() + interval '1 minute'`,
    );
    expect(await refreshTokens(context, neverStop)).toMatchObject({ refreshed: 0 });
    await pool.query(`UPDATE meta_accounts SET refresh_lease_until = now() - interval '1 second'`);
    expect(await refreshTokens(context, neverStop)).toMatchObject({ refreshed: 1 });
    expect(await loginRow(login.id)).toMatchObject({ daysLeft: 60 });
  });

  it('finishes what it began when told to stop, and gives the rest back', async () => {
    await Promise.all(Array.from({ length: 20 }, () => makeLogin(context, userId)));
    const stop = new AbortController();
    meta.delayMs = 100;
    setTimeout(() => stop.abort(), 50);
    const summary = await refreshTokens(context, stop.signal);
    expect(summary).toMatchObject({ refreshed: meta.asked.length, failed: 0 });
    expect(summary.refreshed).toBeLessThan(10);
    const { rows } = await pool.query(
      'SELECT count(*)::int AS leased FROM meta_accounts WHERE refresh_lease_token IS NOT NULL',
    );
    expect(rows).toEqual([{ leased: 0 }]);
  });

  it('stops asking when Meta refuses everything for the rate', async () => {
    const logins = await Promise.all(Array.from({ length: 30 }, () => makeLogin(context, userId)));
    for (const { token } of logins)
      meta.renewals.set(token, { status: 400, body: '{"error":{"code":4,"message":"x"}}' });
    await refreshTokens(context, neverStop);
    expect(meta.asked.length).toBeLessThan(15);
  });
});
