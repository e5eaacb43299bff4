import { useApp } from '../support/app';

const app = useApp({ env: { RATE_LIMIT_SCALE: '1' } });
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;

beforeEach(async () => {
  await query('TRUNCATE users, sessions, rate_limits CASCADE');
});

describe('registering', () => {
  it('makes an account, logs in and leads to the first steps', async () => {
    const visitor = app.browser();
    const response = await visitor.fetch('/auth/register', {
      method: 'POST',
      body: new URLSearchParams({
        _csrf: await visitor.csrfToken(),
        email: 'ada@example.com',
        password: 'correct horse battery',
      }),
    });
    expect([response.status, response.headers.get('location')]).toEqual([302, '/onboarding']);
    const { body } = await visitor.json('GET', '/auth/status');
    expect(body).toMatchObject({ authenticated: true, user: { email: 'ada@example.com', role: 'user' } });
    expect(Object.keys(body.user).sort()).toEqual(['email', 'id', 'role']);
    const [{ password_hash: hash } = { password_hash: '' }] = await query<{ password_hash: string }>(
      'SELECT password_hash FROM users',
    );
    expect(hash).toMatch(/^\$2b\$10\$/);
  });

  it('shows the form again with what was typed and what is wrong', async () => {
    const page = await app
      .browser()
      .post('/auth/register', { email: 'not an address"><b>', password: 'short' });
    expect(page.status).toBe(422);
    expect(page.text).toContain('not an address&#34;&gt;&lt;b&gt;');
    expect(page.text).toMatch(/at least 8 characters/);
    expect(page.text).toMatch(/not an e-mail address/);
  });

  it('refuses what bcrypt would cut off, and what is no text', async () => {
    const visitor = app.browser();
    for (const password of ['a'.repeat(73), '😀'.repeat(19), 'with\0nul in it']) {
      expect((await visitor.post('/auth/register', { email: 'x@example.com', password })).status).toBe(422);
    }
    expect(
      (await visitor.post('/auth/register', { email: 'x@example.com', password: '😀'.repeat(18) })).status,
    ).toBe(200);
  });

  it('makes one account of all spellings of an address, also at once', async () => {
    const addresses = [
      'Ada@X-Example.com',
      'ada@x-example.com',
      ' ada@x-example.com ',
      'ADA@X-EXAMPLE.COM',
      'ａda@x-example.com',
      'ada@Ｘ-example.com',
    ];
    const answers = await Promise.all(
      addresses.map((email) =>
        app.browser().post('/auth/register', { email, password: 'correct horse battery' }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409, 409]);
    expect(await query('SELECT email_norm FROM users')).toEqual([{ email_norm: 'ada@x-example.com' }]);
  });

  it.each([
    'a\0@example.com',
    'İ@example.com',
    `${'a'.repeat(300)}@example.com`,
    '@',
    'a@b',
    'a b@example.com',
  ])('refuses the address %p clearly', async (email) => {
    expect(
      (await app.browser().post('/auth/register', { email, password: 'correct horse battery' })).status,
    ).toBe(422);
  });

  it('ignores fields that are not in the form', async () => {
    await app.browser().post('/auth/register', {
      email: 'eve@example.com',
      password: 'correct horse battery',
      role: 'operator',
      id: '1',
      is_admin: '1',
    });
    expect(await query('SELECT role FROM users')).toEqual([{ role: 'user' }]);
  });

  it('speaks JSON to those who ask', async () => {
    const visitor = app.browser();
    expect(
      await visitor.json('POST', '/auth/register', { email: 'j@example.com', password: 'x' }),
    ).toMatchObject({ status: 422, body: { error: { code: 'invalid_form' } } });
    expect(
      await visitor.json('POST', '/auth/register', {
        email: 'j@example.com',
        password: 'correct horse battery',
      }),
    ).toMatchObject({ status: 201 });
    expect(
      await app
        .browser()
        .json('POST', '/auth/register', { email: 'j@example.com', password: 'correct horse battery' }),
    ).toMatchObject({ status: 409, body: { error: { code: 'email_taken' } } });
  });
});

describe('logging in', () => {
  it('leads where one wanted to go, but never to another site', async () => {
    const { email, password } = await app.browser().register();
    const visitor = app.browser();
    expect((await visitor.get('/events?status=failed')).path).toBe(
      '/auth/login?next=%2Fevents%3Fstatus%3Dfailed',
    );
    expect((await visitor.post('/auth/login', { email, password, next: '/events?status=failed' })).path).toBe(
      '/events?status=failed',
    );
    for (const next of [
      '//evil.example',
      String.raw`/\evil.example`,
      'https:evil.example',
      '/%0d%0aX: y\r\n',
      'javascript:alert(1)',
      '/\t/evil.example',
    ]) {
      const response = await visitor.fetch('/auth/login', {
        method: 'POST',
        body: new URLSearchParams({ _csrf: await visitor.csrfToken(), email, password, next }),
      });
      expect([next, response.headers.get('location')]).toEqual([
        next,
        expect.stringMatching(/^\/(dashboard|%0d%0a.*)$/),
      ]);
    }
  });

  it('answers a wrong password and an unknown address alike', async () => {
    const { email } = await app.browser().register();
    const wrong = await app.browser().post('/auth/login', { email, password: 'wrong password' });
    const unknown = await app
      .browser()
      .post('/auth/login', { email: 'nobody@example.com', password: 'wrong password' });
    const neutral = (text: string, address: string) =>
      text
        .replaceAll(address, 'ADDRESS')
        .replaceAll(/name="_csrf" value="[^"]+"|csrf-token" content="[^"]+"/g, '');
    expect([wrong.status, unknown.status]).toEqual([401, 401]);
    expect(neutral(wrong.text, email)).toBe(neutral(unknown.text, 'nobody@example.com'));
  });

  it('does not take a password that only begins like the right one', async () => {
    const password = 'x'.repeat(72);
    const { email } = await app.browser().register('long@example.com', password);
    expect((await app.browser().post('/auth/login', { email, password: `${password}y` })).status).toBe(401);
    expect((await app.browser().post('/auth/login', { email, password })).status).toBe(200);
  });

  it('gives a new session id, which dies with the log-out', async () => {
    const { email, password } = await app.browser().register();
    const visitor = app.browser();
    await visitor.csrfToken();
    const before = visitor.cookieHeader();
    await visitor.post('/auth/login', { email, password });
    const after = visitor.cookieHeader();
    expect(after).not.toBe(before);
    await visitor.post('/auth/logout');
    const response = await fetch(`${app.url}/dashboard`, { redirect: 'manual', headers: { Cookie: after } });
    expect([response.status, response.headers.get('location')]).toEqual([
      302,
      '/auth/login?next=%2Fdashboard',
    ]);
  });

  it('keeps the session thirty days in the database, under a hash of its id', async () => {
    const visitor = app.browser();
    await visitor.register();
    const sid = decodeURIComponent(visitor.cookies.get('session')!).slice(2).split('.')[0]!;
    const [row] = await query<{ sid: string; days: number }>(
      `SELECT sid, extract(epoch FROM expire - now())::double precision / 86400 AS days FROM sessions WHERE user_id IS NOT NULL`,
    );
    expect(row!.sid).not.toContain(sid);
    expect(row!.days).toBeGreaterThan(29.9);
    expect(row!.days).toBeLessThan(30.01);
  });

  it('ends a session thirty days after the log-in, however much it is used', async () => {
    const visitor = app.browser();
    await visitor.register();
    await query(
      `UPDATE sessions SET sess = jsonb_set(sess::jsonb, '{loggedInAt}', to_jsonb((extract(epoch FROM now() - interval '30 days') * 1000)::bigint))::json WHERE user_id IS NOT NULL`,
    );
    expect((await visitor.get('/dashboard')).path).toBe('/auth/login?next=%2Fdashboard');
  });

  it('is limited after ten wrong tries, for that address from that place only', async () => {
    const { email, password } = await app.browser().register();
    const visitor = app.browser();
    const csrf = await visitor.csrfToken();
    const attempt = (from: string, secret: string) =>
      visitor.fetch('/auth/login', {
        method: 'POST',
        headers: { 'X-Forwarded-For': from },
        body: new URLSearchParams({ _csrf: csrf, email, password: secret }),
      });
    const answers: number[] = [];
    for (let index = 0; index < 12; index++)
      answers.push((await attempt('203.0.113.9', 'wrong password')).status);
    expect(answers).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
    const limited = await attempt('203.0.113.9', password);
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await attempt('198.51.100.7', password)).status).toBe(302);
  });

  it('answers broken bodies with 4xx', async () => {
    const visitor = app.browser();
    const csrf = await visitor.csrfToken();
    const send = (body: string, type: string) =>
      visitor.fetch('/auth/login', {
        method: 'POST',
        body,
        headers: { 'Content-Type': type, 'X-CSRF-Token': csrf },
      });
    expect((await send('{"email":', 'application/json')).status).toBe(400);
    expect((await send('{"email":1,"password":["x"]}', 'application/json')).status).toBe(401);
    expect((await send('password[]=x&email=a', 'application/x-www-form-urlencoded')).status).toBe(401);
    expect(
      (await send(`password=${'x'.repeat(1_000_000)}`, 'application/x-www-form-urlencoded')).status,
    ).toBe(413);
    expect((await send('[]', 'application/json')).status).toBe(401);
    expect((await send('null', 'application/json')).status).toBe(400);
  });
});

describe('visitors', () => {
  it('are given a session only by a page with a form', async () => {
    for (const path of ['/', '/nowhere', '/dashboard', '/api/accounts', '/robots.txt']) {
      expect([path, (await app.browser().fetch(path)).headers.get('set-cookie')]).toEqual([path, null]);
    }
    await app.browser().fetch('/auth/logout', { method: 'POST' });
    expect(await query('SELECT 1 FROM sessions')).toEqual([]);
    const page = await app.browser().get('/auth/login');
    expect(page.text).toMatch(/<meta name="csrf-token" content="[^"]+">/);
    expect(await query('SELECT 1 FROM sessions')).toHaveLength(1);
  });

  it('who ask for /api without saying what they read get JSON', async () => {
    const response = await fetch(`${app.url}/api/accounts`, { redirect: 'manual' });
    expect([response.status, response.headers.get('content-type')]).toEqual([
      401,
      expect.stringMatching('application/json'),
    ]);
  });
});

it('a request that is still running does not bring an ended session back', async () => {
  const visitor = app.browser();
  await visitor.register();
  const cookie = visitor.cookieHeader();
  const token = await visitor.csrfToken();
  const hold = await app.context.pool.connect();
  await hold.query('BEGIN');
  await hold.query('LOCK TABLE rate_limits IN ACCESS EXCLUSIVE MODE');
  // Waits for the lock, then writes its flash message into the session.
  const slow = fetch(`${app.url}/events/1/retry`, {
    method: 'POST',
    redirect: 'manual',
    headers: { Cookie: cookie, 'X-CSRF-Token': token },
  });
  await visitor.post('/auth/logout');
  await hold.query('ROLLBACK');
  hold.release();
  await slow;
  expect(await query('SELECT 1 FROM sessions WHERE user_id IS NOT NULL')).toEqual([]);
});

describe('cross-site requests', () => {
  const login = async (headers: Record<string, string>, token?: string) => {
    const visitor = app.browser();
    const _csrf = token ?? (await visitor.csrfToken());
    return (
      await visitor.fetch('/auth/login', {
        method: 'POST',
        headers,
        body: new URLSearchParams({ _csrf, email: 'a@example.com', password: 'some password' }),
      })
    ).status;
  };

  it('are refused by what the browser says, and without the token of this session', async () => {
    expect(await login({ 'Sec-Fetch-Site': 'cross-site' })).toBe(403);
    expect(await login({ 'Sec-Fetch-Site': 'same-site' })).toBe(403);
    expect(await login({ Origin: 'https://evil.example' })).toBe(403);
    expect(await login({ Origin: 'null' })).toBe(403);
    expect(await login({}, '')).toBe(403);
    expect(await login({}, await app.browser().csrfToken())).toBe(403);
    expect(await login({ 'Sec-Fetch-Site': 'same-origin', Origin: app.url })).toBe(401);
  });

  it('cannot carry the token in the address', async () => {
    const visitor = app.browser();
    const token = await visitor.csrfToken();
    expect((await visitor.fetch(`/auth/logout?_csrf=${token}`, { method: 'POST' })).status).toBe(403);
  });
});

it('pages are never cached, framed or mixed with foreign code', async () => {
  const visitor = app.browser();
  await visitor.register();
  const { headers } = await visitor.get('/dashboard');
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
  expect(headers.get('content-security-policy')).not.toMatch(/unsafe/);
  expect(headers.get('x-powered-by')).toBeNull();
});
