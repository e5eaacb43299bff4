import { checkConnection } from '../../src/connections/checkConnection';
import { type AppContext } from '../../src/context';
import { createGraphClient } from '../../src/meta/client';
import { findAccountOfUser, type WholeAccount } from '../../src/models/instagramAccounts';
import { useApp } from '../support/app';
import { connect } from '../support/connect';

const app = useApp({ sandbox: true, env: { RATE_LIMIT_SCALE: '100' } });
const BAR_PAGE = '104455667788990';
let userId: string;

beforeEach(async () => {
  app.sandbox.reset();
  await app.sandbox.subscribeApp();
  await app.context.pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
  const browser = app.browser();
  userId = (await browser.register()).id;
  await connect(browser, { pages: [BAR_PAGE] });
});

const change = (sql: string) => app.context.pool.query(sql);
async function row(sql: string): Promise<unknown> {
  return (await app.context.pool.query(sql)).rows[0];
}

async function account(): Promise<WholeAccount> {
  const { rows } = await app.context.pool.query<{ id: string }>('SELECT id FROM instagram_accounts');
  return (await findAccountOfUser(app.context.pool, userId, rows[0]!.id))!;
}

async function check(context: AppContext = app.context) {
  const lines = await checkConnection(context, await account());
  return Object.fromEntries(lines.map(({ key, ...line }) => [key, line]));
}

/** The app with a Meta whose debug_token answers this besides what is true. */
function withTokenFacts(facts: Record<string, unknown>): AppContext {
  const { graph } = app.context;
  const data = { app_id: graph.appId, is_valid: true, ...facts };
  return {
    ...app.context,
    graph: {
      ...graph,
      get: (call) =>
        call.path === '/debug_token' ? Promise.resolve(call.schema.parse({ data })) : graph.get(call),
    },
  };
}

describe('the token', () => {
  const state = `SELECT meta_accounts.status AS login, instagram_accounts.status FROM meta_accounts, instagram_accounts`;

  it('is not called dead when it is our secret that is wrong', async () => {
    const graph = createGraphClient({
      ...app.context.config.meta,
      appSecrets: ['not-the-secret-of-this-app'],
    });
    const lines = await check({ ...app.context, graph });
    expect(lines['token']).toEqual({ state: 'unknown', code: 'meta_refused' });
    expect(lines['appFields']).toEqual({ state: 'unknown', code: 'meta_refused' });
    expect(lines['instagram']).toEqual({ state: 'unknown', code: 'meta_refused' });
    expect(await row(state)).toEqual({ login: 'active', status: 'active' });
  });

  it('is not called dead, nor the one of its Page, on a 190 that debug_token contradicts', async () => {
    app.sandbox.addFault({ action: 'token_expired' });
    const lines = await check();
    expect(lines['token']).toEqual({ state: 'passed', code: null });
    expect(lines['instagram']).toEqual({ state: 'unknown', code: 'meta_unreachable' });
    expect(lines['subscription']).toEqual({ state: 'unknown', code: 'meta_unreachable' });
    expect(await row(state)).toEqual({ login: 'active', status: 'active' });
  });

  it('is dead when Meta says that it is not valid', async () => {
    const lines = await check(withTokenFacts({ is_valid: false, error: { subcode: 460 } }));
    expect(lines['token']).toEqual({ state: 'failed', code: 'password_changed' });
    expect(await row(state)).toEqual({ login: 'needs_reconnect', status: 'needs_reconnect' });
  });
});

describe('what Meta says of the token', () => {
  const facts = `SELECT token_expires_at, data_access_expires_at, scopes FROM meta_accounts`;

  it.each([{}, { expires_at: null, data_access_expires_at: '', scopes: null }, { expires_at: 'soon' }])(
    'stays as it was where Meta does not say: %j',
    async (answer) => {
      const before = await row(facts);
      const lines = await check(withTokenFacts(answer));
      expect(await row(facts)).toEqual(before);
      expect(lines['expiry']).toMatchObject({ state: 'passed', endsAt: expect.any(String) });
      expect(lines['permissions']).toMatchObject({ state: 'passed' });
    },
  );

  it('is written down where it does', async () => {
    const lines = await check(
      withTokenFacts({ expires_at: 0, data_access_expires_at: '1900000000', scopes: [] }),
    );
    expect(await row(facts)).toEqual({
      token_expires_at: null,
      data_access_expires_at: new Date(1_900_000_000_000),
      scopes: [],
    });
    expect(lines['expiry']).toEqual({ state: 'passed', code: null });
  });
});

describe('the end of access', () => {
  /** So that it ends in so many days. */
  const endingIn = (days: number) =>
    withTokenFacts({ expires_at: Math.floor(Date.now() / 1000) + days * 86_400 });

  it('needs nobody before renewing was tried', async () => {
    expect((await check(endingIn(3)))['expiry']).toMatchObject({ state: 'passed', code: null });
  });

  it('is warned of when renewing failed, and not before it is due', async () => {
    await change('UPDATE meta_accounts SET refresh_failures = 2');
    expect((await check(endingIn(3)))['expiry']).toMatchObject({
      state: 'warning',
      code: 'refresh_not_extended',
    });
    const { tokenRefreshThresholdDays } = app.context.config;
    expect((await check(endingIn(tokenRefreshThresholdDays + 1)))['expiry']).toMatchObject({
      state: 'passed',
    });
  });

  it('is warned of when Meta did not extend this token, not an earlier one', async () => {
    await change(`INSERT INTO token_refresh_log (meta_account_id, started_at, outcome)
      SELECT id, now() - interval '1 day', 'unchanged' FROM meta_accounts`);
    expect((await check(endingIn(3)))['expiry']).toMatchObject({ state: 'passed' });
    await change(`UPDATE meta_accounts SET token_issued_at = now() - interval '57 days'`);
    expect((await check(endingIn(3)))['expiry']).toMatchObject({ state: 'warning' });
  });
});

it("names what the app's own subscription lacks", async () => {
  const subscription = app.sandbox.state.subscriptions.find(({ object }) => object === 'instagram')!;
  subscription.fields = subscription.fields.filter(({ name }) => !/^(mentions|messages)$/.test(name));
  expect((await check())['appFields']).toEqual({
    state: 'failed',
    code: 'app_subscription_missing',
    missing: ['mentions', 'messages'],
  });
});
