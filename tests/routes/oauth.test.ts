import { createHmac } from 'node:crypto';
import { createApp } from '../../src/app';
import http from 'node:http';
import { type AddressInfo } from 'node:net';
import { type FaultInput } from '../../src/sandbox/faults/faults';
import { useApp } from '../support/app';
import { Browser } from '../support/browser';
import {
  ADA,
  BAKERY_ACCOUNT,
  BAR_ACCOUNT,
  BRUNO,
  connect,
  HOTEL_ACCOUNT,
  START,
  visitDialog,
} from '../support/connect';

const app = useApp({ sandbox: true, env: { RATE_LIMIT_SCALE: '100' } });
const BAR_PAGE = '104455667788990';
const PLAIN_PAGE = '104455667788991';

beforeEach(async () => {
  app.sandbox.reset();
  await app.sandbox.subscribeApp();
  await app.context.pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
});

async function visitor(): Promise<Browser> {
  const browser = app.browser();
  await browser.register();
  return browser;
}

const exchanges = () =>
  app.sandbox
    .journal()
    .filter(({ path, parameters }) => path === '/oauth/access_token' && parameters.includes('code'));
const graphCalls = () => app.sandbox.journal().filter(({ host }) => host === 'graph.facebook.com');

async function rows(sql: string): Promise<Record<string, unknown>[]> {
  return (await app.context.pool.query<Record<string, unknown>>(sql)).rows;
}
const accounts = () =>
  rows(
    'SELECT id, user_id, ig_user_id, username, status, status_code FROM instagram_accounts ORDER BY ig_user_id',
  );

/** Nothing was asked of Meta and nothing stored. */
async function expectNothingHappened(): Promise<void> {
  expect(graphCalls()).toEqual([]);
  expect(await rows('SELECT id FROM meta_accounts UNION ALL SELECT id FROM instagram_accounts')).toEqual([]);
}

describe('GET /oauth/start', () => {
  it('leads to the dialog with everything Meta needs', async () => {
    const browser = await visitor();
    const response = await browser.fetch(START);
    expect(response.status).toBe(302);
    const dialog = new URL(response.headers.get('Location')!);
    expect(dialog.pathname).toBe('/www.facebook.com/v26.0/dialog/oauth');
    expect(Object.fromEntries(dialog.searchParams)).toMatchObject({
      client_id: '512004470011223',
      redirect_uri: `${app.url}/oauth/callback`,
      response_type: 'code',
      scope: expect.stringContaining('instagram_manage_comments'),
    });
    expect(dialog.searchParams.get('scope')).not.toContain('business_management');
    expect(dialog.searchParams.get('auth_type')).toBeNull();
  });

  it('asks again for what was declined, and for business Pages, with rerequest=1', async () => {
    const browser = await visitor();
    const dialog = new URL((await browser.fetch(`${START}&rerequest=1`)).headers.get('Location')!);
    expect(dialog.searchParams.get('auth_type')).toBe('rerequest');
    expect(dialog.searchParams.get('scope')).toContain('business_management');
  });

  it('renews the time in which data may be read, once that is over', async () => {
    const browser = await visitor();
    await connect(browser, { pages: [BAR_PAGE] });
    await app.context.pool.query(
      `UPDATE meta_accounts SET data_access_expires_at = now() - interval '1 day'`,
    );
    const [account] = await accounts();
    const started = await browser.fetch(`${START}&account=${String(account!['id'])}`);
    expect(new URL(started.headers.get('Location')!).searchParams.get('auth_type')).toBe('reauthorize');
  });

  it('needs a login, and comes back after it', async () => {
    const page = await app.browser().get(START);
    expect(page.path).toBe('/auth/login?next=%2Foauth%2Fcontinue%3Fprovider%3Dfacebook');
    const visitor = app.browser();
    await visitor.register();
    // A page in between: a form may not lead to another site, not even by redirects.
    expect((await visitor.get('/oauth/continue?provider=facebook')).text).toContain(
      `http-equiv="refresh" content="0; url=${START}"`,
    );
  });

  it('explains that Instagram Login is not switched on', async () => {
    const browser = await visitor();
    const page = await browser.get('/oauth/start?provider=instagram');
    expect(page.path).toBe('/oauth/failed');
    expect(page.text).toContain('provider_off');
  });

  it.each(['/oauth/start', `${START}&account=abc`, '/oauth/start?provider=x', `${START}&provider=facebook`])(
    'refuses %s',
    async (path) => {
      expect((await (await visitor()).get(path)).status).toBe(400);
    },
  );

  it("does not know somebody else's account", async () => {
    const ada = await visitor();
    await connect(ada, { pages: [BAR_PAGE] });
    const [account] = await accounts();
    expect((await (await visitor()).get(`${START}&account=${String(account!['id'])}`)).status).toBe(404);
  });
});

describe('GET /oauth/callback with a good answer', () => {
  it('connects the account, keeps its token encrypted and subscribes to its events', async () => {
    const browser = await visitor();
    const page = await connect(browser, { pages: [BAR_PAGE] });
    expect(page.path).toBe('/accounts');
    expect(page.text).toContain('Connected: @bar.example.');
    expect(await accounts()).toMatchObject([
      { ig_user_id: BAR_ACCOUNT, username: 'bar.example', status: 'active', status_code: null },
    ]);
    const [login] = await rows(
      `SELECT meta_user_id, name, status, scopes, user_token, token_expires_at > now() + interval '59 days' AS long FROM meta_accounts`,
    );
    expect(login).toMatchObject({ meta_user_id: ADA, name: 'Ada Example', status: 'active', long: true });
    expect(login!['scopes']).toContain('instagram_manage_messages');
    expect(await rows('SELECT wanted, confirmed, error_code FROM webhook_subscriptions')).toEqual([
      { wanted: ['feed'], confirmed: ['feed'], error_code: null },
    ]);
    const tokens = app.sandbox.state.tokens.map(({ value }) => value);
    const [stored] = await rows(
      'SELECT (SELECT user_token FROM meta_accounts), (SELECT page_token FROM pages)',
    );
    for (const value of Object.values(stored!)) {
      expect(String(value)).toMatch(/^v1\.k1\./);
      for (const token of tokens) expect(String(value)).not.toContain(token);
    }
  });

  it('asks Meta with a proof each time, and uses the code once', async () => {
    await connect(await visitor(), { pages: [BAR_PAGE] });
    expect(exchanges()).toHaveLength(1);
    const withToken = graphCalls().filter(({ parameters }) => parameters.includes('access_token'));
    expect(withToken.length).toBeGreaterThan(5);
    for (const { parameters } of withToken) expect(parameters).toContain('appsecret_proof');
  });

  it('connects several accounts of one login', async () => {
    const page = await connect(await visitor(), {}, `${START}&rerequest=1`);
    expect(page.text).toContain('@bar.example, @harbour.hotel');
    expect(await accounts()).toMatchObject([{ ig_user_id: BAR_ACCOUNT }, { ig_user_id: HOTEL_ACCOUNT }]);
  });

  it('calls a connection limited when a permission was unticked, and names it', async () => {
    const browser = await visitor();
    await connect(browser, { pages: [BAR_PAGE], decline: ['instagram_manage_messages'] });
    const [account] = await accounts();
    expect(account).toMatchObject({ status: 'limited', status_code: 'permission_missing' });
    const { body } = await browser.json('GET', `/api/accounts/${String(account!['id'])}`);
    expect(body.missingScopes).toEqual(['instagram_manage_messages']);
  });

  it('keeps the connection when the webhooks cannot be subscribed', async () => {
    app.sandbox.addFault({ match: { path: '/*/subscribed_apps' }, action: 'transient' });
    const page = await connect(await visitor(), { pages: [BAR_PAGE] });
    expect(page.path).toBe('/accounts');
    expect(await accounts()).toMatchObject([
      { status: 'webhooks_down', status_code: 'webhooks_unconfirmed' },
    ]);
  });

  it('believes what Meta lists afterwards, not that subscribing succeeded', async () => {
    const page = app.sandbox.state.pages.find(({ id }) => id === BAR_PAGE)!;
    Object.defineProperty(page, 'installs', { get: () => [], set: () => undefined, configurable: true });
    await connect(await visitor(), { pages: [BAR_PAGE] });
    expect(await accounts()).toMatchObject([{ status: 'webhooks_down', status_code: 'webhooks_missing' }]);
    expect(await rows('SELECT confirmed, error_code FROM webhook_subscriptions')).toEqual([
      { confirmed: [], error_code: 'webhooks_missing' },
    ]);
  });

  it.each([
    ['numeric ids and unknown fields', { action: 'unexpected_shape' }],
    ['missing fields', { action: 'unexpected_shape', params: { kinds: ['missing_fields'] } }],
    ['an empty first page', { action: 'empty_page' }],
    ['one passing failure', { match: { path: '/me/accounts' }, action: 'transient', times: 1 }],
  ] as [string, FaultInput][])('copes with %s', async (_name, fault) => {
    app.sandbox.addFault(fault);
    expect((await connect(await visitor(), { pages: [BAR_PAGE] })).path).toBe('/accounts');
    expect(await accounts()).toMatchObject([{ ig_user_id: BAR_ACCOUNT, status: 'active' }]);
  });

  it('works in a second tab and after a restart in between', async () => {
    const browser = await visitor();
    const first = await visitDialog(browser, START, { pages: [BAR_PAGE] });
    const second = await visitDialog(browser, START, { pages: [BAR_PAGE] });
    const restarted = http.createServer(createApp(app.context));
    await new Promise<void>((resolve) => restarted.listen(0, '127.0.0.1', resolve));
    const elsewhere = new Browser(`http://localhost:${(restarted.address() as AddressInfo).port}`);
    for (const [name, value] of browser.cookies) elsewhere.cookies.set(name, value);
    expect((await elsewhere.get(second)).path).toBe('/accounts');
    expect((await browser.get(first)).path).toBe('/accounts');
    expect(await accounts()).toHaveLength(1);
    restarted.closeAllConnections();
    restarted.close();
  });

  it('connects once when the answer arrives twice at the same time', async () => {
    const browser = await visitor();
    const callback = await visitDialog(browser, START, { pages: [BAR_PAGE] });
    const answers = await Promise.all([1, 2, 3].map(() => browser.fetch(callback)));
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 403, 403]);
    expect(exchanges()).toHaveLength(1);
    expect(await accounts()).toHaveLength(1);
  });
});

describe('GET /oauth/callback with a bad state', () => {
  const CODE = '&code=AQBsomething';
  const stateOf = (callback: string) => new URL(callback, app.url).searchParams.get('state')!;
  const signed = (payload: object, secret = app.context.config.oauthStateSecret) => {
    const encoded = Buffer.from(JSON.stringify(payload)).toString('base64url');
    return `${encoded}.${createHmac('sha256', secret).update(encoded).digest('base64url')}`;
  };
  const payloadOf = (state: string) =>
    JSON.parse(Buffer.from(state.split('.')[0]!, 'base64url').toString()) as Record<string, unknown>;

  async function expectRefused(browser: Browser, path: string, code: string, status = 403): Promise<void> {
    const before = graphCalls().length;
    const page = await browser.get(path);
    expect(page.status).toBe(status);
    expect(page.text).toContain(code);
    expect(page.text).toContain('Your turn.');
    expect(graphCalls()).toHaveLength(before);
  }

  it('refuses a replay', async () => {
    const browser = await visitor();
    const callback = await visitDialog(browser, START, { pages: [BAR_PAGE] });
    await browser.get(callback);
    await expectRefused(browser, callback, 'state_used');
    expect(exchanges()).toHaveLength(1);
  });

  it("refuses the state of another person's session", async () => {
    const callback = await visitDialog(await visitor());
    const victim = await visitor();
    await expectRefused(victim, callback, 'state_foreign');
    await expectNothingHappened();
  });

  it('refuses a state of the same person in another browser', async () => {
    const first = app.browser();
    const { email, password } = await first.register();
    const second = app.browser();
    await second.post('/auth/login', { email, password });
    await expectRefused(second, await visitDialog(first), 'state_foreign');
    await expectNothingHappened();
  });

  it('sends a logged-out visitor to the log-in page and leaves the state unused', async () => {
    const browser = await visitor();
    const callback = await visitDialog(browser, START, { pages: [BAR_PAGE] });
    const page = await app.browser().get(callback);
    expect(page.path).toBe('/auth/login?next=%2Faccounts');
    await expectNothingHappened();
    expect((await browser.get(callback)).path).toBe('/accounts');
  });

  it('refuses every flipped bit', async () => {
    const browser = await visitor();
    const state = stateOf(await visitDialog(browser));
    for (const index of [0, 5, state.indexOf('.') - 1, state.indexOf('.') + 1, state.length - 1]) {
      const flipped = Buffer.from(state);
      flipped[index]! ^= 1;
      const path = `/oauth/callback?state=${encodeURIComponent(flipped.toString('latin1'))}${CODE}`;
      const page = await browser.get(path);
      expect([400, 403]).toContain(page.status);
    }
    await expectNothingHappened();
  });

  it('refuses a signature by another secret', async () => {
    const browser = await visitor();
    const payload = payloadOf(stateOf(await visitDialog(browser)));
    const forged = signed(payload, 'another-secret-of-32-characters-or-more');
    await expectRefused(browser, `/oauth/callback?state=${forged}${CODE}`, 'state_invalid');
    await expectNothingHappened();
  });

  it('refuses a value that was signed for another purpose', async () => {
    const browser = await visitor();
    const payload = payloadOf(stateOf(await visitDialog(browser)));
    const other = signed({ ...payload, purpose: 'password-reset' });
    await expectRefused(browser, `/oauth/callback?state=${other}${CODE}`, 'state_invalid');
    await expectNothingHappened();
  });

  it('refuses a state after eleven minutes, by its row and by its own time', async () => {
    const browser = await visitor();
    const callback = await visitDialog(browser);
    await app.context.pool.query(`UPDATE oauth_states SET expires_at = expires_at - interval '11 minutes'`);
    await expectRefused(browser, callback, 'state_used');

    const payload = payloadOf(stateOf(await visitDialog(browser)));
    const old = signed({ ...payload, iat: Number(payload['iat']) - 660 });
    await expectRefused(browser, `/oauth/callback?state=${old}${CODE}`, 'state_expired');
    const ahead = signed({ ...payload, iat: Number(payload['iat']) + 3600 });
    await expectRefused(browser, `/oauth/callback?state=${ahead}${CODE}`, 'state_expired');
    await expectNothingHappened();
  });

  it.each([
    ['a list', 'state=a.b&state=c.d'],
    ['JSON', `state=${encodeURIComponent('{"nonce":1}')}`],
    ['two thousand characters', `state=${'a'.repeat(2000)}.b`],
    ['nothing', 'x=1'],
    ['an empty one', 'state='],
    ['a word', 'state=forged'],
    ['three parts', 'state=a.b.c'],
    ['a signature alone', 'state=.abc'],
  ])('refuses %s', async (_name, query) => {
    const page = await (await visitor()).get(`/oauth/callback?${query}${CODE}`);
    expect([400, 403]).toContain(page.status);
    await expectNothingHappened();
  });

  it('refuses 5 MB', async () => {
    const browser = await visitor();
    const response = await browser.fetch(`/oauth/callback?state=${'a'.repeat(5_000_000)}`).catch(() => null);
    if (response !== null) expect([400, 414, 431]).toContain(response.status);
    await expectNothingHappened();
  });
});

describe('GET /oauth/callback with a refusal', () => {
  it('explains a cancel, stores nothing, and uses the state up', async () => {
    const browser = await visitor();
    const callback = await visitDialog(browser, START, { auto: 'deny' });
    const page = await browser.get(callback);
    expect(page.path).toBe('/oauth/failed');
    expect(page.text).toContain('login_cancelled');
    expect(page.text).toContain('Start again');
    await expectNothingHappened();
    expect((await browser.get(callback)).status).toBe(403);
    expect((await browser.get('/oauth/failed')).text).toContain('login_cancelled');
  });

  it.each([
    ['error=server_error&error_description=<script>alert(1)</script>', 'login_error'],
    ['error_code=1349168&error_message=<img src=x onerror=alert(1)>', 'login_error'],
    ['error=access_denied&error_description=%0D%0ASet-Cookie:x', 'login_cancelled'],
  ])('shows %s as text', async (query, code) => {
    const browser = await visitor();
    const state = new URL(await visitDialog(browser), app.url).searchParams.get('state')!;
    const page = await browser.get(`/oauth/callback?${encodeURI(query)}&state=${state}`);
    expect(page.path).toBe('/oauth/failed');
    expect(page.text).toContain(code);
    expect(page.text).not.toMatch(/<script>alert|<img src=x/);
    await expectNothingHappened();
  });

  it('answers 400 to a visit with neither code nor error', async () => {
    const browser = await visitor();
    for (const path of [
      '/oauth/callback',
      `/oauth/callback?${new URL(await visitDialog(browser), app.url).searchParams.toString().replace(/code=[^&]*&?/, '')}`,
    ]) {
      const page = await browser.get(path);
      expect(page.status).toBe(400);
      expect(page.text).toContain('nothing_received');
    }
    await expectNothingHappened();
  });
});

describe('GET /oauth/callback when Meta fails', () => {
  const STEPS = [
    '/oauth/access_token',
    '/debug_token',
    '/me',
    '/me/permissions',
    '/me/accounts',
    `/${BAR_ACCOUNT}`,
  ];
  const FAULTS: [string, FaultInput][] = [
    ['500', { action: 'transient', params: { status: 500, code: 1 } }],
    ['HTML', { action: 'malformed', params: { kind: 'html' } }],
    ['an empty answer', { action: 'malformed', params: { kind: 'empty' } }],
    ['429', { action: 'app_limit', params: { status: 429 } }],
    ['a dropped connection', { action: 'drop' }],
  ];
  it.each(STEPS.flatMap((step) => FAULTS.map(([name, fault]) => [step, name, fault] as const)))(
    'at %s with %s: nothing is half connected, and the next try works',
    async (path, _name, fault) => {
      const browser = await visitor();
      const callback = await visitDialog(browser, START, { pages: [BAR_PAGE] });
      app.sandbox.addFault({ ...fault, match: { path } });
      const page = await browser.get(callback);
      expect(page.path).toBe('/oauth/failed');
      expect(page.text).toMatch(/meta_(unreachable|busy)/);
      expect(page.text).not.toMatch(/EAA\w/);
      expect(exchanges().length).toBeLessThanOrEqual(1);
      expect(
        await rows(
          'SELECT id FROM meta_accounts UNION ALL SELECT id FROM instagram_accounts UNION ALL SELECT id FROM pages',
        ),
      ).toEqual([]);
      app.sandbox.clearFaults();
      expect((await connect(browser, { pages: [BAR_PAGE] })).path).toBe('/accounts');
    },
  );

  it('answers in time when Meta is silent', async () => {
    const browser = await visitor();
    const callback = await visitDialog(browser, START, { pages: [BAR_PAGE] });
    app.sandbox.addFault({ match: { path: '/me/accounts' }, action: 'slow', params: { kind: 'headers' } });
    const startedAt = Date.now();
    expect((await browser.get(callback)).text).toContain('meta_unreachable');
    expect(Date.now() - startedAt).toBeLessThan(15_000);
  });

  it('explains a code that Meta does not take', async () => {
    const browser = await visitor();
    const callback = (await visitDialog(browser)).replace(/code=[^&]*/, 'code=AQBunknown');
    const page = await browser.get(callback);
    expect(page.text).toContain('code_rejected');
    expect(page.text).toContain('metaCode: 100');
  });
});

describe('GET /oauth/callback without an account to connect', () => {
  it('says which line failed for each Page', async () => {
    const page = await connect(await visitor(), { pages: [PLAIN_PAGE] });
    expect(page.path).toBe('/oauth/failed');
    expect(page.text).toContain('no_accounts');
    expect(page.text).toContain('Page “Old Town Notes”');
    expect(page.text).toMatch(/check-bad[^]*can be seen on this Page/);
    expect(page.text).toContain('rerequest=1');
    expect(await accounts()).toEqual([]);
  });

  it('names the permission that was unticked', async () => {
    const page = await connect(await visitor(), { decline: ['pages_show_list'] });
    expect(page.text).toContain('no_accounts');
    expect(page.text).toMatch(/check-bad[^]*pages_show_list/);
  });
});

describe('ownership and reconnecting', () => {
  it('refuses an account that somebody else has connected, and changes nothing of theirs', async () => {
    await connect(await visitor(), { pages: [BAR_PAGE] });
    const before = await rows('SELECT * FROM instagram_accounts');
    const page = await connect(await visitor(), { pages: [BAR_PAGE], person: BRUNO });
    expect(page.path).toBe('/oauth/failed');
    expect(page.text).toContain('account_owned');
    expect(await rows('SELECT * FROM instagram_accounts')).toEqual(before);
    expect(await rows('SELECT id FROM meta_accounts')).toHaveLength(1);
  });

  it('connects what is free and leaves the rest alone, saying so', async () => {
    await connect(await visitor(), { pages: [BAR_PAGE] });
    const page = await connect(await visitor(), { person: BRUNO });
    expect(page.path).toBe('/accounts');
    expect(page.text).toContain('Connected: @sunny.bakery.');
    expect(page.text).toContain('@bar.example. They have to disconnect');
    expect(await accounts()).toMatchObject([{ ig_user_id: BAR_ACCOUNT }, { ig_user_id: BAKERY_ACCOUNT }]);
  });

  it('gives an account to one of two people who connect it at the same time', async () => {
    const visitors = [await visitor(), await visitor()];
    const callbacks = await Promise.all(
      visitors.map((browser) => visitDialog(browser, START, { pages: [BAR_PAGE] })),
    );
    const answers = await Promise.all(visitors.map((browser, index) => browser.fetch(callbacks[index]!)));
    expect(answers.map((answer) => answer.headers.get('Location')).sort()).toEqual([
      '/accounts',
      '/oauth/failed',
    ]);
    expect(await accounts()).toHaveLength(1);
  });

  it('renews the same row, keeps its history and is active again', async () => {
    const browser = await visitor();
    await connect(browser, { pages: [BAR_PAGE] });
    const [before] = await accounts();
    await app.context.pool.query(
      `UPDATE instagram_accounts SET status = 'needs_reconnect', status_code = 'token_expired'`,
    );
    await app.context.pool.query(
      `UPDATE meta_accounts SET status = 'needs_reconnect', status_code = 'token_expired'`,
    );
    const page = await connect(browser, { pages: [BAR_PAGE] }, `${START}&account=${String(before!['id'])}`);
    expect(page.path).toBe('/accounts');
    expect(await accounts()).toMatchObject([{ id: before!['id'], status: 'active', status_code: null }]);
    expect(await rows('SELECT token_version, status FROM meta_accounts')).toEqual([
      { token_version: 2, status: 'active' },
    ]);
  });

  it('refuses another account than the one to renew', async () => {
    const browser = await visitor();
    await connect(browser, { pages: [BAR_PAGE] });
    const [before] = await accounts();
    const page = await connect(
      browser,
      { person: BRUNO, pages: ['104455667788995'] },
      `${START}&account=${String(before!['id'])}`,
    );
    expect(page.text).toContain('other_account');
    expect(page.text).toContain('expected: bar.example');
    expect(await accounts()).toEqual([before]);
  });

  it('attaches no further account when one is renewed', async () => {
    const browser = await visitor();
    await connect(browser, { pages: [BAR_PAGE] });
    const [before] = await accounts();
    await connect(browser, {}, `${START}&rerequest=1&account=${String(before!['id'])}`);
    expect(await accounts()).toHaveLength(1);
  });

  it("erases the login that is no longer used after another person's login took over", async () => {
    const browser = await visitor();
    await connect(browser, { pages: [BAR_PAGE] });
    const [before] = await accounts();
    await connect(browser, { person: BRUNO, pages: [BAR_PAGE] }, `${START}&account=${String(before!['id'])}`);
    expect(
      await rows('SELECT meta_user_id, status, user_token IS NULL AS erased FROM meta_accounts ORDER BY id'),
    ).toEqual([
      { meta_user_id: ADA, status: 'disconnected', erased: true },
      { meta_user_id: BRUNO, status: 'active', erased: false },
    ]);
    expect(await rows('SELECT id FROM pages WHERE page_token IS NOT NULL')).toHaveLength(1);
  });

  it('matches events that came before the account was connected', async () => {
    await app.context.pool.query(
      `INSERT INTO webhook_events (object, entry_id, event_type, dedupe_key, payload) VALUES ('instagram', $1, 'comments', 'k', '{}')`,
      [BAR_ACCOUNT],
    );
    await connect(await visitor(), { pages: [BAR_PAGE] });
    expect(await rows('SELECT instagram_account_id IS NOT NULL AS matched FROM webhook_events')).toEqual([
      { matched: true },
    ]);
  });
});
