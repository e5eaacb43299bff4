import { removeApp, signedRequest } from '../../src/sandbox/peopleActions';
import { INSTAGRAM_SECRET, META_SECRET, useApp } from '../support/app';
import { ADA, connect } from '../support/connect';
import { makeLogin } from '../support/logins';

const app = useApp({ sandbox: true, env: { RATE_LIMIT_SCALE: '100' } });
const BAR_PAGE = '104455667788990';

beforeEach(async () => {
  app.sandbox.reset();
  await app.context.pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
  await connect(await visitor(), { pages: [BAR_PAGE] });
});

async function visitor() {
  const browser = app.browser();
  await browser.register();
  return browser;
}

async function rows(sql: string): Promise<Record<string, unknown>[]> {
  return (await app.context.pool.query<Record<string, unknown>>(sql)).rows;
}

const post = (body: string, type = 'application/x-www-form-urlencoded') =>
  fetch(`${app.url}/meta/deauthorize`, { method: 'POST', body, headers: { 'Content-Type': type } });
const payload = (userId: string) => ({
  algorithm: 'HMAC-SHA256',
  issued_at: 1795000000,
  expires: 0,
  user_id: userId,
});
const say = (userId: string, secret = META_SECRET) =>
  post(new URLSearchParams({ signed_request: signedRequest(secret, payload(userId)) }).toString());

const GONE = [{ status: 'disconnected', status_code: 'deauthorized' }];

describe('POST /meta/deauthorize', () => {
  it('ends the connections of that person and erases their tokens', async () => {
    const response = await say(ADA);
    expect(response.status).toBe(200);
    expect(response.headers.get('Set-Cookie')).toBeNull();
    expect(await rows('SELECT status, status_code FROM instagram_accounts')).toEqual(GONE);
    expect(await rows('SELECT status, user_token FROM meta_accounts')).toEqual([
      { status: 'disconnected', user_token: null },
    ]);
    expect(await rows('SELECT page_token FROM pages')).toEqual([{ page_token: null }]);
    expect(await rows(`SELECT user_id FROM audit_log WHERE action = 'login.deauthorized'`)).toEqual([
      { user_id: null },
    ]);
  });

  it('changes nothing when repeated, and nothing for others', async () => {
    const other = await visitor();
    const { body } = await other.json('GET', '/auth/status');
    const login = await makeLogin(app.context, body.user.id);
    await say(ADA);
    const after = await rows('SELECT * FROM instagram_accounts, meta_accounts ORDER BY 1');
    expect((await say(ADA)).status).toBe(200);
    expect((await say('999')).status).toBe(200);
    expect(await rows('SELECT * FROM instagram_accounts, meta_accounts ORDER BY 1')).toEqual(after);
    expect(await rows(`SELECT status FROM meta_accounts WHERE id = ${login.id}`)).toEqual([
      { status: 'active' },
    ]);
  });

  it('also takes the signature of the Instagram product', async () => {
    expect((await say(ADA, INSTAGRAM_SECRET)).status).toBe(200);
    expect(await rows('SELECT status, status_code FROM instagram_accounts')).toEqual(GONE);
  });

  it('ends what hangs on a Page that removed the app', async () => {
    const request = signedRequest(META_SECRET, {
      algorithm: 'HMAC-SHA256',
      user_id: 0,
      profile_id: BAR_PAGE,
    });
    expect((await post(new URLSearchParams({ signed_request: request }).toString())).status).toBe(200);
    expect(await rows('SELECT status, status_code FROM instagram_accounts')).toEqual(GONE);
    expect(await rows('SELECT id FROM meta_accounts WHERE user_token IS NOT NULL')).toEqual([]);
  });

  it('is called when the person removes the app at Meta', async () => {
    const world = {
      state: app.sandbox.state,
      now: () => app.sandbox.now(),
      log: () => undefined,
      changed: () => undefined,
      wakeSender: () => undefined,
    };
    removeApp(world as unknown as Parameters<typeof removeApp>[0], ADA);
    for (let tries = 0; tries < 50; tries++) {
      const [account] = await rows('SELECT status FROM instagram_accounts');
      if (account!['status'] === 'disconnected') break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await rows('SELECT status, status_code FROM instagram_accounts')).toEqual(GONE);
  });

  it.each([
    ['a wrong signature', `signed_request=${signedRequest('another-secret', payload(ADA))}`],
    ['no request', ''],
    ['two requests', 'signed_request=a.b&signed_request=c.d'],
    ['no dot', 'signed_request=abc'],
  ])('answers 400 to %s', async (_name, body) => {
    expect((await post(body)).status).toBe(400);
    expect(await rows('SELECT status FROM instagram_accounts')).toEqual([{ status: 'active' }]);
  });

  it('answers 400 to JSON and 413 to a huge body', async () => {
    expect((await post(JSON.stringify({ signed_request: 'a.b' }), 'application/json')).status).toBe(400);
    expect((await post(`signed_request=${'a'.repeat(100_000)}`)).status).toBe(413);
  });
});
