import { createHmac } from 'node:crypto';

import { type Sandbox } from '../../src/sandbox/sandbox';
import {
  ADA,
  answerDialog,
  APP_ID,
  APP_SECRET,
  APP_TOKEN,
  BAR_PAGE,
  control,
  exchangeCode,
  exchangeToken,
  graph,
  longToken,
  pageToken,
  shortToken,
  start,
} from './support';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await start(null);
});
afterEach(() => sandbox.close());

describe('exchanging a code', () => {
  it('gives a user token of one or two hours', async () => {
    const code = await newCode();
    const { status, body } = await exchangeCode(sandbox, code);
    expect(status).toBe(200);
    expect(body).toMatchObject({ token_type: 'bearer' });
    expect(body.expires_in).toBeGreaterThan(3600);
    expect(body.expires_in).toBeLessThan(7200);
  });

  it('refuses a code that was used', async () => {
    const code = await newCode();
    await exchangeCode(sandbox, code);
    const { status, body } = await exchangeCode(sandbox, code);
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 100, message: 'This authorization code has been used.' });
    expect(body.error.fbtrace_id).toMatch(/^A/);
  });

  it('refuses an expired code', async () => {
    const code = await newCode();
    sandbox.advanceClock(11 * 60_000);
    expect((await exchangeCode(sandbox, code)).body.error.message).toContain('expired');
  });

  it('refuses another redirect URI and still takes the right one afterwards', async () => {
    const code = await newCode();
    const wrong = await exchangeCode(sandbox, code, { redirect_uri: 'http://localhost:3000/other' });
    expect(wrong.body.error).toMatchObject({ code: 100, error_subcode: 36_008 });
    expect((await exchangeCode(sandbox, code)).status).toBe(200);
  });

  it('refuses a wrong secret', async () => {
    const { status, body } = await exchangeCode(sandbox, await newCode(), { client_secret: 'wrong' });
    expect(status).toBe(400);
    expect(body.error.message).toBe('Error validating client secret.');
  });

  async function newCode(): Promise<string> {
    return (await answerDialog(sandbox, { _auto: 'grant' })).get('code') ?? '';
  }
});

describe('token lifetimes', () => {
  it('exchanges a short token for sixty days, and a long one for sixty new days', async () => {
    const first = await exchangeToken(sandbox, await shortToken(sandbox));
    expect(first.body.expires_in).toBeGreaterThan(59 * 86_400);
    sandbox.advanceClock(50 * DAY);
    const second = await exchangeToken(sandbox, first.body.access_token);
    expect(second.body.access_token).not.toBe(first.body.access_token);
    expect(second.body.expires_in).toBeGreaterThan(59 * 86_400);
  });

  it('answers 190/463 on day 61, also to an exchange', async () => {
    const token = await longToken(sandbox);
    sandbox.advanceClock(61 * DAY);
    const { status, body } = await graph(sandbox, '/me', { access_token: token });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ type: 'OAuthException', code: 190, error_subcode: 463 });
    expect(body.error.message).toMatch(
      /Session has expired on \w+day, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d P[SD]T\. The current time is/,
    );
    expect((await exchangeToken(sandbox, token)).body.error.code).toBe(190);
  });

  it('lets a Page token from a long user token live on', async () => {
    const token = await pageToken(sandbox, await longToken(sandbox));
    sandbox.advanceClock(61 * DAY);
    expect((await graph(sandbox, '/me', { access_token: token })).body.id).toBe(BAR_PAGE);
  });

  it('lets a Page token from a short user token end with it', async () => {
    const token = await pageToken(sandbox, await shortToken(sandbox));
    sandbox.advanceClock(2 * HOUR);
    expect((await graph(sandbox, '/me', { access_token: token })).body.error.error_subcode).toBe(463);
  });

  it.each([
    ['changes the password', 'change-password', 460],
    ['logs out', 'log-out', 467],
    ['removes the app', 'remove-app', 458],
    ['loses the Page role', `pages/${BAR_PAGE}/lose-role`, 492],
  ])('kills the Page token when the person %s', async (_, action, subcode) => {
    const token = await pageToken(sandbox, await longToken(sandbox));
    await control(sandbox, `/people/${ADA}/${action}`, {});
    const { body } = await graph(sandbox, '/me', { access_token: token });
    expect(body.error).toMatchObject({ code: 190, error_subcode: subcode });
  });

  it('stops Instagram reads after 90 days without a login while the token stays valid', async () => {
    const token = await pageToken(sandbox, await longToken(sandbox));
    sandbox.advanceClock(91 * DAY);
    expect((await graph(sandbox, '/me', { access_token: token })).status).toBe(200);
    const read = await graph(sandbox, '/17841455500011122', { access_token: token });
    expect(read.body.error.code).toBe(10);
  });
});

describe('debug_token', () => {
  it('tells type, expiry, scopes and targets', async () => {
    const token = await pageToken(sandbox, await longToken(sandbox, { _pages: BAR_PAGE }));
    const { body } = await debug(token);
    expect(body.data).toMatchObject({
      app_id: APP_ID,
      type: 'PAGE',
      is_valid: true,
      expires_at: 0,
      profile_id: BAR_PAGE,
      user_id: ADA,
    });
    expect(body.data.granular_scopes).toContainEqual({ scope: 'pages_show_list', target_ids: [BAR_PAGE] });
    expect(body.data.data_access_expires_at).toBeGreaterThan(body.data.issued_at);
  });

  it('answers 200 with the reason for a dead token', async () => {
    const token = await shortToken(sandbox);
    sandbox.advanceClock(2 * HOUR);
    const { status, body } = await debug(token);
    expect(status).toBe(200);
    expect(body.data).toMatchObject({ is_valid: false, scopes: [], error: { code: 190, subcode: 463 } });
  });

  it('is for the app itself, or for people with a role on it', async () => {
    const ada = await shortToken(sandbox);
    const bruno = await shortToken(sandbox, { _person: '10225550004445557' });
    expect((await debug(bruno, ada)).body.data.is_valid).toBe(true);
    expect((await debug(ada, bruno)).body.error.code).toBe(100);
  });

  function debug(token: string, by = APP_TOKEN) {
    return graph(sandbox, '/debug_token', { input_token: token, access_token: by });
  }
});

describe('appsecret_proof', () => {
  it('is made as the documented vector says', () => {
    const proof = createHmac('sha256', APP_SECRET).update('EAADEMO-long-lived-token').digest('hex');
    expect(proof).toBe('5788462063d00b55e8223634149665d6fb279639aac8f758e6cbb4e3f7017ba8');
  });

  it('accepts the proof of this very token, plain or timed', async () => {
    const token = givenToken('EAADEMO-long-lived-token');
    const plain = '5788462063d00b55e8223634149665d6fb279639aac8f758e6cbb4e3f7017ba8';
    expect((await me(token, { appsecret_proof: plain })).status).toBe(200);

    sandbox.advanceClock(1_795_000_000_000 - sandbox.now());
    const timed = '3e88042d50761752f72bb247bdfa5c2f0f722f6977e3c14e8fc719ab0220a233';
    const time = { appsecret_proof: timed, appsecret_time: '1795000000' };
    expect((await me(token, time)).status).toBe(200);
    sandbox.advanceClock(6 * 60_000);
    expect((await me(token, time)).body.error.message).toContain('Invalid appsecret_proof');
  });

  it('refuses a wrong one, and a missing one when the app requires it', async () => {
    const token = await shortToken(sandbox);
    const wrong = await me(token, { appsecret_proof: '0'.repeat(64) });
    expect(wrong.body.error).toMatchObject({ code: 100 });
    expect(wrong.body.error.message).toContain('Invalid appsecret_proof');
    sandbox.state.app.requireProof = true;
    expect((await me(token)).body.error.message).toContain('require an appsecret_proof');
  });

  function me(token: string, more: Record<string, string> = {}) {
    return graph(sandbox, '/me', { access_token: token, ...more });
  }

  function givenToken(value: string): string {
    sandbox.state.grants.push({
      flow: 'facebook',
      subjectId: ADA,
      permissions: {},
      dataAccessExpiresAt: Number.MAX_SAFE_INTEGER,
    });
    sandbox.state.tokens.push({
      value,
      label: 'vector',
      kind: 'USER',
      flow: 'facebook',
      subjectId: ADA,
      pageId: null,
      longLived: true,
      issuedAt: 0,
      expiresAt: null,
      passwordEpoch: 0,
      revokedWith: null,
    });
    return value;
  }
});
