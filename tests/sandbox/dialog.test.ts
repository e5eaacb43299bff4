import { type Sandbox } from '../../src/sandbox/sandbox';
import {
  ADA,
  answerDialog,
  dialogUrl,
  exchangeCode,
  graph,
  REDIRECT_URI,
  SCOPES,
  shortToken,
  start,
} from './support';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await start(null);
});
afterEach(() => sandbox.close());

describe('the login dialog', () => {
  it('returns a code and the state when the person agrees', async () => {
    const response = await fetch(dialogUrl(sandbox, { _auto: 'grant' }), { redirect: 'manual' });
    const location = response.headers.get('location') ?? '';
    expect(location.startsWith(`${REDIRECT_URI}?`)).toBe(true);
    expect(location.endsWith('#_=_')).toBe(true);
    const { searchParams } = new URL(location);
    expect(searchParams.get('state')).toBe('state-1');
    expect(searchParams.get('code')).toMatch(/^AQB/);
  });

  it('returns access_denied when the person cancels', async () => {
    const answer = await answerDialog(sandbox, { _auto: 'deny' });
    expect(Object.fromEntries(answer)).toEqual({
      error: 'access_denied',
      error_reason: 'user_denied',
      error_description: 'Permissions error',
      state: 'state-1',
    });
  });

  it('adds error_code 200 when the app may not ask for this', async () => {
    const answer = await answerDialog(sandbox, { _auto: 'forbidden' });
    expect(answer.get('error')).toBe('access_denied');
    expect(answer.get('error_code')).toBe('200');
  });

  it('never comes back when the person closes the window', async () => {
    const response = await fetch(dialogUrl(sandbox, { _auto: 'vanish' }), { redirect: 'manual' });
    expect(response.status).toBe(200);
    expect(response.headers.get('location')).toBeNull();
  });

  it.each([
    ['an unknown app', { client_id: '1' }],
    ['an unregistered redirect URI', { redirect_uri: `${REDIRECT_URI}/` }],
    ['an unknown permission', { scope: 'instagram_business_basic' }],
    ['an unknown configuration', { config_id: '1' }],
  ])('shows an error page and does not redirect for %s', async (_, params) => {
    const response = await fetch(dialogUrl(sandbox, { _auto: 'grant', ...params }), { redirect: 'manual' });
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(response.headers.get('location')).toBeNull();
  });

  it('puts a token into the fragment when asked for one', async () => {
    const url = dialogUrl(sandbox, { _auto: 'grant', response_type: 'token' });
    const location = (await fetch(url, { redirect: 'manual' })).headers.get('location') ?? '';
    expect(new URL(location).search).toBe('');
    expect(new URL(location).hash).toContain('access_token=EAA');
  });

  it('does not ask again for what was declined, unless the app rerequests it', async () => {
    const declined = 'instagram_manage_messages';
    await shortToken(sandbox, { _decline: declined });
    expect(await statusOf(await shortToken(sandbox), declined)).toBe('declined');
    expect(await statusOf(await shortToken(sandbox, { auth_type: 'rerequest' }), declined)).toBe('granted');
  });

  async function statusOf(token: string, permission: string): Promise<string | undefined> {
    const { body } = await graph(sandbox, '/me/permissions', { access_token: token });
    const list = body.data as { permission: string; status: string }[];
    return list.find((each) => each.permission === permission)?.status;
  }
});

describe('the consent page', () => {
  it('lets one choose who one is', async () => {
    const html = await (await fetch(dialogUrl(sandbox))).text();
    expect(html).toContain('Ada Example');
    expect(html).toContain('Bruno Example');
    expect(html).toContain('not Meta');
  });

  it('grants what is ticked and declines the rest', async () => {
    const code = await submit({ permission: SCOPES.slice(0, -1), page: ['104455667788990'] });
    const { body } = await exchangeCode(sandbox, code);
    const permissions = await graph(sandbox, '/me/permissions', { access_token: body.access_token });
    expect(permissions.body.data).toContainEqual({ permission: 'instagram_basic', status: 'granted' });
    expect(permissions.body.data).toContainEqual({
      permission: 'instagram_manage_messages',
      status: 'declined',
    });
    const pages = await graph(sandbox, '/me/accounts', { access_token: body.access_token });
    expect(pages.body.data).toHaveLength(1);
  });

  it('goes back with access_denied on Cancel', async () => {
    const response = await post({ decision: 'cancel', person: ADA });
    expect(response.headers.get('location')).toContain('error=access_denied');
  });

  it('refuses a form sent from another site', async () => {
    const response = await post({ decision: 'continue', person: ADA }, { origin: 'https://evil.example' });
    expect(response.status).toBe(403);
  });

  async function submit(fields: Record<string, string[]>): Promise<string> {
    const response = await post({ decision: 'continue', person: ADA, ...fields });
    return new URL(response.headers.get('location') ?? '').searchParams.get('code') ?? '';
  }

  function post(fields: Record<string, string | string[]>, headers: Record<string, string> = {}) {
    const pairs = Object.entries(fields).flatMap(([name, value]) =>
      [value].flat().map((each): [string, string] => [name, each]),
    );
    const body = new URLSearchParams(pairs);
    return fetch(dialogUrl(sandbox), { method: 'POST', body, headers, redirect: 'manual' });
  }
});
