import { openUserToken } from '../../src/connections/storedTokens';
import { findEncryptedUserToken } from '../../src/models/metaAccounts';
import { claimRefresh } from '../../src/models/tokenRefreshes';
import { useApp } from '../support/app';
import { type Browser } from '../support/browser';
import { ADA, connect, START } from '../support/connect';
import { makeLogin } from '../support/logins';

const app = useApp({ sandbox: true, env: { RATE_LIMIT_SCALE: '100' } });
const BAR_PAGE = '104455667788990';

beforeEach(async () => {
  await app.sandbox.settle();
  app.sandbox.reset();
  // What Meta tells of a disconnect is of another test by the time it arrives.
  app.sandbox.state.app.deauthorizeUrl = null;
  await app.sandbox.subscribeApp();
  await app.context.pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
});

async function rows(sql: string): Promise<Record<string, unknown>[]> {
  return (await app.context.pool.query<Record<string, unknown>>(sql)).rows;
}

/** A visitor with @bar.example connected. */
async function owner(): Promise<{ browser: Browser; userId: string; id: string; path: string }> {
  const browser = app.browser();
  const { id: userId } = await browser.register();
  await connect(browser, { pages: [BAR_PAGE] });
  const [account] = await rows('SELECT id FROM instagram_accounts ORDER BY id DESC LIMIT 1');
  const id = String(account!['id']);
  return { browser, userId, id, path: `/accounts/${id}` };
}

const barPage = () => app.sandbox.state.pages.find(({ id }) => id === BAR_PAGE)!;
const account = async () => (await rows('SELECT status, status_code AS code FROM instagram_accounts'))[0];
const graphCalls = () => app.sandbox.journal().filter(({ host }) => host === 'graph.facebook.com');
/** Thirty days pass for the token. */
const ageToken = () =>
  app.context.pool.query(
    `UPDATE meta_accounts SET token_issued_at = now() - interval '30 days', token_expires_at = now() + interval '30 days'`,
  );

describe('GET /accounts', () => {
  it('offers the one thing to do when nothing is connected', async () => {
    const browser = app.browser();
    await browser.register();
    const page = await browser.get('/accounts');
    expect(page.status).toBe(200);
    expect(page.text).toContain('No account connected yet');
    expect(page.text).toContain(`href="${START}"`);
  });

  it('shows each account with its state, access and permissions', async () => {
    const { browser, path } = await owner();
    const page = await browser.get('/accounts');
    expect(page.text).toContain('@bar.example');
    expect(page.text).toMatch(/valid until \d+ \w+ 20\d\d/);
    expect(page.text).toContain('all granted');
    expect(page.text).toContain('Connected');
    expect(page.text).toContain(`href="${path}"`);
  });

  it('says what is wrong, whose turn it is, and what to press', async () => {
    const { browser, id } = await owner();
    await app.context.pool.query(
      `UPDATE instagram_accounts SET status = 'needs_reconnect', status_code = 'page_role_lost'`,
    );
    const page = await browser.get('/accounts');
    expect(page.text).toContain('no longer have a role on the Facebook Page');
    expect(page.text).toContain('Your turn.');
    expect(page.text).toContain(`href="${START.replace('&', '&amp;')}&amp;account=${id}"`);
  });

  it('needs a login', async () => {
    expect((await app.browser().get('/accounts')).path).toBe('/auth/login?next=%2Faccounts');
    expect((await app.browser().json('GET', '/api/accounts')).status).toBe(401);
  });
});

describe('GET /accounts/:id', () => {
  it('shows the whole connection, and why a button cannot be pressed', async () => {
    const { browser, path } = await owner();
    const page = await browser.get(path);
    expect(page.status).toBe(200);
    for (const text of [
      'Facebook login of Ada Example',
      'Bar Example',
      'feed',
      'Confirmed',
      'instagram_manage_messages',
    ])
      expect(page.text).toContain(text);
    expect(page.text).toMatch(/<button[^>]*disabled aria-describedby="why-refresh"/);
    expect(page.text).toContain('less than 24 hours ago');
  });

  it('shows the last five renewals', async () => {
    const { browser, path } = await owner();
    await app.context.pool.query(
      `INSERT INTO token_refresh_log (meta_account_id, started_at, outcome, error_code)
       SELECT id, now(), 'failed', 'meta_busy' FROM meta_accounts, generate_series(1, 6)`,
    );
    const page = await browser.get(path);
    expect(page.text.match(/Meta asks us to slow down/g)).toHaveLength(5);
  });

  it.each(['0', '999999999', '999999999999999999999', 'abc', '1%27', '-1'])(
    'answers 404 to %s',
    async (id) => {
      const { browser } = await owner();
      expect((await browser.get(`/accounts/${id}`)).status).toBe(404);
      expect((await browser.json('GET', `/api/accounts/${id}`)).status).toBe(404);
    },
  );
});

describe("somebody else's account", () => {
  it('is not found, and not changed, by any route', async () => {
    const { path, id } = await owner();
    const before = await rows('SELECT * FROM instagram_accounts, meta_accounts, pages');
    const stranger = app.browser();
    await stranger.register();
    expect((await stranger.get(path)).status).toBe(404);
    expect((await stranger.json('GET', `/api/accounts/${id}`)).status).toBe(404);
    expect((await stranger.json('GET', '/api/accounts')).body).toEqual({ accounts: [] });
    for (const action of ['check', 'refresh', 'resubscribe', 'disconnect']) {
      expect((await stranger.post(`${path}/${action}`)).status).toBe(404);
    }
    expect(await rows('SELECT * FROM instagram_accounts, meta_accounts, pages')).toEqual(before);
  });
});

describe('GET /api/accounts', () => {
  it('says everything but the tokens', async () => {
    const { browser, id } = await owner();
    const { body } = await browser.json('GET', '/api/accounts');
    expect(body.accounts).toMatchObject([
      {
        id,
        username: 'bar.example',
        igUserId: '17841455500011122',
        provider: 'facebook',
        pageName: 'Bar Example',
        status: 'active',
        failure: null,
        missingScopes: [],
        subscription: { wanted: ['feed'], confirmed: ['feed'], code: null },
        tokenExpiresAt: expect.stringMatching(/^\d{4}-.*Z$/),
      },
    ]);
    const one = await browser.json('GET', `/api/accounts/${id}`);
    expect(one.body).toMatchObject({ ...body.accounts[0], refreshAttempts: [] });
    const text = JSON.stringify([body, one.body]);
    expect(text).not.toMatch(/v1\.k1\.|[a-z]Token"/);
    for (const { value } of app.sandbox.state.tokens) expect(text).not.toContain(value);
  });
});

describe('POST /accounts/:id/check', () => {
  it('shows every line passed when all is well', async () => {
    const { browser, path } = await owner();
    const page = await browser.post(`${path}/check`);
    expect(page.path).toBe(path);
    expect(page.text).toContain('Access is valid');
    expect(page.text).toContain('Meta confirms the notifications');
    expect(page.text).toContain('The app is subscribed to Instagram at Meta');
    expect(page.text).toMatch(/Access lasts until \d+ \w+ 20\d\d/);
    expect(await account()).toEqual({ status: 'active', code: null });
  });

  it('names the fields the app is not subscribed to', async () => {
    const { browser, path } = await owner();
    const subscription = app.sandbox.state.subscriptions.find(({ object }) => object === 'instagram')!;
    subscription.fields = subscription.fields.filter(({ name }) => name !== 'comments');
    const page = await browser.post(`${path}/check`);
    expect(page.text).toContain('The app is not subscribed at Meta to: comments');
  });

  it('finds a dead token, and that it came back to life', async () => {
    const { browser, path } = await owner();
    const fault = app.sandbox.state.tokens.find(({ kind, longLived }) => kind === 'USER' && longLived)!;
    fault.revokedWith = 459;
    const page = await browser.post(`${path}/check`);
    expect(page.text).toContain('Log in at facebook.com');
    expect(await account()).toEqual({ status: 'needs_reconnect', code: 'checkpoint' });
    fault.revokedWith = null;
    await browser.post(`${path}/check`);
    expect(await account()).toEqual({ status: 'active', code: null });
    expect(await rows('SELECT status FROM meta_accounts')).toEqual([{ status: 'active' }]);
  });

  it('finds a lost subscription', async () => {
    const { browser, path } = await owner();
    barPage().installs = [];
    const page = await browser.post(`${path}/check`);
    expect(page.text).toContain('webhooks_missing');
    expect(await account()).toEqual({ status: 'webhooks_down', code: 'webhooks_missing' });
  });

  it('finds a permission that was taken back', async () => {
    const { browser, path } = await owner();
    app.sandbox.state.grants[0]!.permissions['instagram_manage_comments']!.status = 'declined';
    await browser.post(`${path}/check`);
    expect(await account()).toEqual({ status: 'limited', code: 'permission_missing' });
  });

  it('finds a lost role on the Page', async () => {
    const { browser, path } = await owner();
    barPage().roles = [];
    await browser.post(`${path}/check`);
    expect(await account()).toEqual({ status: 'needs_reconnect', code: 'page_role_lost' });
  });

  it('tells the end of data access from a missing permission', async () => {
    const { browser, path } = await owner();
    app.sandbox.state.grants[0]!.dataAccessExpiresAt = Date.now() - 1000;
    await browser.post(`${path}/check`);
    expect(await account()).toEqual({ status: 'limited', code: 'data_access_expired' });
  });

  it('changes nothing when Meta cannot say', async () => {
    const { browser, path } = await owner();
    app.sandbox.addFault({ action: 'transient' });
    const page = await browser.post(`${path}/check`);
    expect(page.text).toContain('could not be asked');
    expect(await account()).toEqual({ status: 'active', code: null });
  });
});

describe('POST /accounts/:id/refresh', () => {
  it('renews the token and says so', async () => {
    const { browser, path } = await owner();
    await ageToken();
    const page = await browser.post(`${path}/refresh`);
    expect(page.text).toContain('Access is renewed.');
    expect(page.text).toContain('Renewed');
    expect(await rows('SELECT outcome FROM token_refresh_log')).toEqual([{ outcome: 'refreshed' }]);
    expect(await rows('SELECT token_version FROM meta_accounts')).toEqual([{ token_version: 2 }]);
  });

  it('explains why not, and asks nothing, within 24 hours', async () => {
    const { browser, path } = await owner();
    const before = graphCalls().length;
    const page = await browser.post(`${path}/refresh`);
    expect(page.text).toContain('less than 24 hours ago');
    expect(graphCalls()).toHaveLength(before);
  });

  it('says that a dead token needs a new login', async () => {
    const { browser, path } = await owner();
    await ageToken();
    app.sandbox.state.people.find(({ id }) => id === ADA)!.passwordEpoch += 1; // the password was changed
    const page = await browser.post(`${path}/refresh`);
    expect(page.text).toContain('Your Facebook password was changed');
    expect(await account()).toEqual({ status: 'needs_reconnect', code: 'password_changed' });
  });

  it('promises nothing that the hourly run does not do', async () => {
    const { browser, path } = await owner();
    await ageToken();
    app.sandbox.addFault({ match: { path: '/oauth/access_token' }, action: 'transient' });
    const page = await browser.post(`${path}/refresh`);
    expect(page.text).toContain('Renewing did not work this time.');
    expect(page.text).not.toContain('within the hour');
  });

  it('offers a new login, and no renewal, once access has ended', async () => {
    const { browser, path } = await owner();
    await ageToken();
    await app.context.pool.query(`UPDATE meta_accounts SET token_expires_at = now() - interval '1 second'`);
    const page = await browser.post(`${path}/refresh`);
    expect(page.text).toContain('Reconnect instead.');
    expect(page.text).not.toContain('being renewed at this moment');
  });

  it.each([
    ['ended', `token_expires_at = now() - interval '1 second'`],
    ['ended', `status = 'needs_reconnect'`],
    ['young', `token_issued_at = now() - interval '23 hours'`],
    ['busy', `refresh_lease_token = gen_random_uuid(), refresh_lease_until = now() + interval '1 minute'`],
  ])('cannot be claimed when %s: %s', async (obstacle, change) => {
    await owner();
    await ageToken();
    await app.context.pool.query(`UPDATE meta_accounts SET ${change}`);
    const [login] = await rows('SELECT id FROM meta_accounts');
    expect(await claimRefresh(app.context.pool, String(login!['id']), 60)).toBe(obstacle);
  });

  it('renews once when pressed twice at the same time', async () => {
    const { browser, path } = await owner();
    await ageToken();
    app.sandbox.addFault({ match: { path: '/oauth/access_token' }, action: 'slow', params: { ms: 300 } });
    await Promise.all([browser.post(`${path}/refresh`), browser.post(`${path}/refresh`)]);
    expect(await rows('SELECT outcome FROM token_refresh_log')).toEqual([{ outcome: 'refreshed' }]);
  });
});

describe('POST /accounts/:id/resubscribe', () => {
  it('puts a lost subscription right', async () => {
    const { browser, path } = await owner();
    barPage().installs = [];
    await browser.post(`${path}/check`);
    const page = await browser.post(`${path}/resubscribe`);
    expect(page.text).toContain('Meta confirms: notifications are on.');
    expect(barPage().installs).toHaveLength(1);
    expect(await account()).toEqual({ status: 'active', code: null });
  });

  it('says when Meta refuses', async () => {
    const { browser, path } = await owner();
    app.sandbox.addFault({
      match: { path: '/*/subscribed_apps' },
      action: 'permission_revoked',
      params: { permission: 'pages_manage_metadata' },
    });
    const page = await browser.post(`${path}/resubscribe`);
    expect(page.text).toContain('Meta does not confirm');
    expect(await account()).toEqual({ status: 'webhooks_down', code: 'permission_missing' });
  });
});

describe('POST /accounts/:id/disconnect', () => {
  it('erases the tokens here and tells Meta', async () => {
    const { browser, path } = await owner();
    const page = await browser.post(`${path}/disconnect`);
    expect(page.path).toBe('/accounts');
    expect(page.text).toContain('@bar.example is disconnected');
    expect(await account()).toEqual({ status: 'disconnected', code: 'disconnected_by_you' });
    expect(await rows('SELECT status, user_token, token_version FROM meta_accounts')).toEqual([
      { status: 'disconnected', user_token: null, token_version: 2 },
    ]);
    expect(await rows('SELECT page_token FROM pages')).toEqual([{ page_token: null }]);
    expect(barPage().installs).toEqual([]);
    expect(app.sandbox.state.grants).toEqual([]);
    expect(await rows(`SELECT action FROM audit_log WHERE action LIKE 'account.%' ORDER BY id`)).toEqual([
      { action: 'account.connected' },
      { action: 'account.disconnected' },
    ]);
  });

  it('erases them also when Meta cannot be told', async () => {
    const { browser, path } = await owner();
    app.sandbox.addFault({ action: 'drop' });
    expect((await browser.post(`${path}/disconnect`)).path).toBe('/accounts');
    expect(await account()).toMatchObject({ status: 'disconnected' });
    expect(await rows('SELECT id FROM meta_accounts WHERE user_token IS NOT NULL')).toEqual([]);
  });

  it('leaves the Page and the permissions alone while somebody else needs them', async () => {
    const { browser, path } = await owner();
    const other = app.browser();
    const { id: otherId } = await other.register();
    const login = await makeLogin(app.context, otherId);
    await app.context.pool.query(`UPDATE meta_accounts SET meta_user_id = $2 WHERE id = $1`, [login.id, ADA]);
    await app.context.pool.query(`UPDATE pages SET page_id = $2 WHERE meta_account_id = $1`, [
      login.id,
      BAR_PAGE,
    ]);
    await browser.post(`${path}/disconnect`);
    expect(barPage().installs).toHaveLength(1);
    expect(app.sandbox.state.grants).toHaveLength(1);
    expect(await rows(`SELECT status FROM meta_accounts ORDER BY id`)).toEqual([
      { status: 'disconnected' },
      { status: 'active' },
    ]);
  });

  it('keeps the login while another account of it is connected', async () => {
    const browser = app.browser();
    await browser.register();
    await connect(browser, {}, `${START}&rerequest=1`);
    const [first] = await rows(`SELECT id FROM instagram_accounts WHERE username = 'harbour.hotel'`);
    await browser.post(`/accounts/${String(first!['id'])}/disconnect`);
    expect(await rows('SELECT status, user_token IS NULL AS erased FROM meta_accounts')).toEqual([
      { status: 'active', erased: false },
    ]);
    expect(await rows('SELECT name FROM pages WHERE page_token IS NOT NULL')).toEqual([
      { name: 'Bar Example' },
    ]);
    expect(app.sandbox.state.grants).toHaveLength(1);
  });

  it('happens once, and the account can be connected again with its history', async () => {
    const { browser, path, id } = await owner();
    await browser.post(`${path}/disconnect`);
    const calls = graphCalls().length;
    expect((await browser.post(`${path}/disconnect`)).text).toContain('This account is disconnected');
    expect(graphCalls()).toHaveLength(calls);
    expect((await browser.get(path)).status).toBe(200);
    await connect(browser, { pages: [BAR_PAGE] }, `${START}&account=${id}`);
    expect(await rows('SELECT id, status FROM instagram_accounts')).toEqual([{ id, status: 'active' }]);
  });

  it('frees the account for somebody else', async () => {
    const { browser, path } = await owner();
    await browser.post(`${path}/disconnect`);
    const other = app.browser();
    await other.register();
    expect((await connect(other, { pages: [BAR_PAGE] })).path).toBe('/accounts');
    expect(await rows('SELECT status FROM instagram_accounts ORDER BY id')).toEqual([
      { status: 'disconnected' },
      { status: 'active' },
    ]);
  });

  it('needs the CSRF token', async () => {
    const { browser, path } = await owner();
    const response = await browser.fetch(`${path}/disconnect`, { method: 'POST' });
    expect(response.status).toBe(403);
    expect(await account()).toMatchObject({ status: 'active' });
  });
});

describe('tokens', () => {
  it('never appear on a page', async () => {
    const { browser, path } = await owner();
    const texts = await Promise.all(
      ['/accounts', path, '/dashboard'].map(async (page) => (await browser.get(page)).text),
    );
    const [login] = await rows('SELECT id FROM meta_accounts');
    const row = await findEncryptedUserToken(app.context.pool, String(login!['id']));
    const token = openUserToken(app.context.config.tokenKeys, row!);
    expect(texts.join()).not.toContain(token);
    expect(texts.join()).not.toMatch(/v1\.k1\./);
  });
});
