import { type Sandbox } from '../../src/sandbox/sandbox';
import { startReceiver, type Receiver } from './receiver';
import {
  ADA,
  APP_ID,
  APP_TOKEN,
  BAR,
  BAR_PAGE,
  BRUNO,
  CLEO,
  graph,
  HOTEL_PAGE,
  longToken,
  pageToken,
  SCOPES,
  start,
  until,
} from './support';

let sandbox: Sandbox;
let receiver: Receiver;
beforeEach(async () => {
  receiver = await startReceiver();
  sandbox = await start(receiver);
});
afterEach(async () => {
  await sandbox.close();
  await receiver.close();
});

describe('reading nodes', () => {
  it('shows the person', async () => {
    const access_token = await longToken(sandbox);
    const { body } = await graph(sandbox, '/me', { access_token, fields: 'id,name' });
    expect(body).toEqual({ id: ADA, name: 'Ada Example' });
  });

  it('shows chosen fields, also nested ones, and leaves out what is missing', async () => {
    const access_token = await longToken(sandbox);
    const fields = 'id,name,instagram_business_account{id,username}';
    const linked = await graph(sandbox, `/${BAR_PAGE}`, { access_token, fields });
    expect(linked.body.instagram_business_account).toEqual({ id: BAR, username: 'bar.example' });
    const unlinked = await graph(sandbox, '/104455667788991', { access_token, fields });
    expect(unlinked.body).toEqual({ id: '104455667788991', name: 'Old Town Notes' });
  });

  it('reads the Instagram account, its media and their comments', async () => {
    const access_token = await longToken(sandbox);
    const account = await graph(sandbox, `/${BAR}`, { access_token, fields: 'username,media_count' });
    expect(account.body).toEqual({ id: BAR, username: 'bar.example', media_count: 4 });
    const fields = 'id,comments.limit(1){text,from}';
    const media = await graph(sandbox, `/${BAR}/media`, { access_token, fields, limit: '1' });
    expect(media.body.data[0].comments.data[0].text).toBe('Are you open on Sunday?');
  });

  it.each([
    ['an unknown field', `/${BAR_PAGE}`, { fields: 'shoe_size' }, 100, undefined],
    ['an unknown object', '/123456', {}, 100, 33],
    ['an unknown edge', '/me/shoes', {}, 100, undefined],
    ['an unknown path', '/me/accounts/extra/parts', {}, 2500, undefined],
    ['a syntax error', '/me', { fields: 'id,accounts{' }, 2500, undefined],
  ])('answers %s with an error', async (_, path, params, code, subcode) => {
    const access_token = await longToken(sandbox);
    const { status, body } = await graph(sandbox, path, { access_token, ...params });
    expect(status).toBe(400);
    expect(body.error.code).toBe(code);
    expect(body.error.error_subcode).toBe(subcode);
  });

  it('wants a token, and a right one', async () => {
    expect((await graph(sandbox, '/me')).body.error.code).toBe(2500);
    expect((await graph(sandbox, '/me', { access_token: 'EAAnonsense' })).body.error.code).toBe(190);
  });

  it('hides Instagram from a token without the permission', async () => {
    const access_token = await longToken(sandbox, { scope: 'pages_show_list' });
    const page = await graph(sandbox, `/${BAR_PAGE}`, { access_token, fields: 'instagram_business_account' });
    expect(page.body).toEqual({ id: BAR_PAGE });
    expect((await graph(sandbox, `/${BAR}`, { access_token })).body.error.code).toBe(10);
  });

  it('serves an expired version as the oldest living one and says so in the journal', async () => {
    const access_token = await longToken(sandbox);
    const url = `${sandbox.bases.META_GRAPH_BASE}/v19.0/me?access_token=${access_token}`;
    expect((await fetch(url)).headers.get('facebook-api-version')).toBe('v21.0');
    expect(sandbox.journal().at(-1)?.notes).toEqual(['v19.0 has expired: served as v21.0']);
    const unknown = await fetch(url.replace('v19.0', 'v99.0'));
    expect(((await unknown.json()) as { error: { code: number } }).error.code).toBe(2635);
  });
});

describe('/me/accounts', () => {
  it('gives Page tokens only when asked', async () => {
    const access_token = await longToken(sandbox);
    const plain = await graph(sandbox, '/me/accounts', { access_token });
    expect(plain.body.data[0]).toEqual({ id: BAR_PAGE, name: 'Bar Example' });
    const asked = await graph(sandbox, '/me/accounts', { access_token, fields: 'id,access_token,tasks' });
    expect(asked.body.data[0].access_token).toMatch(/^EAA/);
    expect(asked.body.data[0].tasks).toContain('MODERATE');
  });

  it('pages by cursor, with addresses on the sandbox', async () => {
    const access_token = await longToken(sandbox);
    const first = await graph(sandbox, '/me/accounts', { access_token, limit: '1' });
    expect(first.body.data).toHaveLength(1);
    const { next, cursors } = first.body.paging as { next: string; cursors: { after: string } };
    expect(next.startsWith(`${sandbox.bases.META_GRAPH_BASE}/v26.0/${ADA}/accounts?`)).toBe(true);
    const second = (await (await fetch(next)).json()) as {
      data: { id: string }[];
      paging: { next?: string };
    };
    expect(second.data[0]?.id).toBe('104455667788991');
    expect(second.paging.next).toBeUndefined();
    const built = await graph(sandbox, '/me/accounts', { access_token, limit: '1', after: cursors.after });
    expect(built.body.data).toEqual(second.data);
  });

  it('hides Pages of a business without business_management', async () => {
    expect(await pagesWith(SCOPES)).not.toContain(HOTEL_PAGE);
    expect(await pagesWith([...SCOPES, 'business_management'])).toContain(HOTEL_PAGE);
  });

  it('reaches such a Page through the business as well', async () => {
    const scope = [...SCOPES, 'business_management'].join(',');
    const access_token = await longToken(sandbox, { scope });
    const businesses = await graph(sandbox, '/me/businesses', { access_token });
    const { id } = businesses.body.data[0] as { id: string };
    const owned = await graph(sandbox, `/${id}/owned_pages`, { access_token, fields: 'id,access_token' });
    expect(owned.body.data[0].id).toBe(HOTEL_PAGE);
    expect((await graph(sandbox, `/${id}/client_pages`, { access_token })).body).toEqual({ data: [] });
  });

  it('has two eligible accounts for Bruno and no Page for Cleo', async () => {
    const bruno = await longToken(sandbox, { _person: BRUNO });
    const fields = 'instagram_business_account{username}';
    const pages = await graph(sandbox, '/me/accounts', { access_token: bruno, fields });
    expect(pages.body.data).toHaveLength(2);
    const cleo = await longToken(sandbox, { _person: CLEO });
    expect((await graph(sandbox, '/me/accounts', { access_token: cleo })).body).toEqual({ data: [] });
  });

  async function pagesWith(scopes: string[]): Promise<string[]> {
    const access_token = await longToken(sandbox, { scope: scopes.join(',') });
    const { body } = await graph(sandbox, '/me/accounts', { access_token });
    return (body.data as { id: string }[]).map(({ id }) => id);
  }
});

describe('/me/permissions', () => {
  it('removes one permission and tells the app by webhook', async () => {
    await sandbox.subscribeApp();
    const access_token = await longToken(sandbox);
    const answer = await graph(sandbox, '/me/permissions/instagram_basic', { access_token }, 'DELETE');
    expect(answer.body).toEqual({ success: true });
    await sandbox.settle();
    const event = JSON.parse(receiver.posts[0]?.body ?? '{}') as { object: string; entry: object[] };
    expect(event.object).toBe('permissions');
    expect(event.entry[0]).toMatchObject({
      uid: ADA,
      changes: [{ field: 'instagram_basic', value: { verb: 'revoked' } }],
    });
  });

  it('removes the app, ends every token and calls the deauthorize URL', async () => {
    const access_token = await longToken(sandbox);
    await graph(sandbox, '/me/permissions', { access_token }, 'DELETE');
    expect((await graph(sandbox, '/me', { access_token })).body.error.error_subcode).toBe(458);
    await until(() => receiver.posts.some(({ url }) => url === '/deauthorize'));
    const form = new URLSearchParams(receiver.posts.find(({ url }) => url === '/deauthorize')?.body);
    const payload = form.get('signed_request')?.split('.')[1] ?? '';
    const decoded = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { user_id: string };
    expect(decoded.user_id).toBe(ADA);
  });
});

describe('/{app}/subscriptions', () => {
  const subscription = { object: 'instagram', verify_token: 'demo-verify-token', access_token: APP_TOKEN };

  it('asks the callback to confirm, and adds fields to those it has', async () => {
    const first = await subscribe({ fields: 'comments' });
    expect(first.body).toEqual({ success: true });
    await subscribe({ fields: 'messages' });
    const { body } = await list();
    expect(body.data).toEqual([
      {
        object: 'instagram',
        callback_url: `${receiver.url}/webhook`,
        active: true,
        fields: [
          { name: 'comments', version: 'v26.0' },
          { name: 'messages', version: 'v26.0' },
        ],
      },
    ]);
  });

  it('fails with the reason when the callback does not confirm', async () => {
    receiver.verifyToken = 'another';
    const { status, body } = await subscribe({ fields: 'comments' });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 2200 });
    expect(body.error.message).toContain('HTTP Status Code = 403');
    expect((await list()).body.data).toEqual([]);
    await expect(sandbox.subscribeApp()).rejects.toThrow('HTTP Status Code = 403');
  });

  it('refuses unknown fields and other tokens than the app’s', async () => {
    expect((await subscribe({ fields: 'shoes' })).body.error.code).toBe(100);
    const access_token = await longToken(sandbox);
    expect((await subscribe({ fields: 'comments', access_token })).body.error.code).toBe(15);
  });

  it('deletes one object, or everything without an object', async () => {
    await sandbox.subscribeApp();
    const path = `/${APP_ID}/subscriptions`;
    await graph(sandbox, path, { access_token: APP_TOKEN, object: 'permissions' }, 'DELETE');
    expect((await list()).body.data).toHaveLength(1);
    await graph(sandbox, path, { access_token: APP_TOKEN }, 'DELETE');
    expect((await list()).body.data).toEqual([]);
  });

  function subscribe(more: Record<string, string>) {
    const params = { ...subscription, callback_url: `${receiver.url}/webhook`, ...more };
    return graph(sandbox, `/${APP_ID}/subscriptions`, params, 'POST');
  }

  function list() {
    return graph(sandbox, `/${APP_ID}/subscriptions`, { access_token: APP_TOKEN });
  }
});

describe('/{page}/subscribed_apps', () => {
  it('installs, lists and removes the app', async () => {
    const access_token = await pageToken(sandbox, await longToken(sandbox));
    const path = `/${BAR_PAGE}/subscribed_apps`;
    const installed = await graph(sandbox, path, { access_token, subscribed_fields: 'feed' }, 'POST');
    expect(installed.body).toEqual({ success: true });
    const listed = await graph(sandbox, path, { access_token });
    expect(listed.body.data[0]).toMatchObject({ id: APP_ID, subscribed_fields: ['feed'] });
    await graph(sandbox, path, { access_token }, 'DELETE');
    expect((await graph(sandbox, path, { access_token })).body).toEqual({ data: [] });
  });

  it('wants a Page token, known fields and the permission for them', async () => {
    const user = await longToken(sandbox);
    const page = await pageToken(sandbox, user);
    const post = (access_token: string, subscribed_fields: string) =>
      graph(sandbox, `/${BAR_PAGE}/subscribed_apps`, { access_token, subscribed_fields }, 'POST');
    expect((await post(user, 'feed')).body.error.code).toBe(210);
    expect((await post(page, '')).body.error.code).toBe(100);
    expect((await post(page, 'shoes')).body.error.message).toContain('subscribed_fields[0]');
    expect((await post(page, 'messages')).body.error).toMatchObject({ code: 200 });
    await graph(sandbox, '/me/permissions/pages_manage_metadata', { access_token: user }, 'DELETE');
    expect((await post(page, 'feed')).body.error.message).toContain('pages_manage_metadata');
  });

  it('wants a task that may moderate', async () => {
    const access_token = await pageToken(sandbox, await longToken(sandbox));
    for (const page of sandbox.state.pages) for (const role of page.roles) role.tasks = ['ANALYZE'];
    const params = { access_token, subscribed_fields: 'feed' };
    const { status, body } = await graph(sandbox, `/${BAR_PAGE}/subscribed_apps`, params, 'POST');
    expect([status, body.error.code]).toEqual([403, 200]);
  });
});

it('answers Graph errors on hosts that are not simulated yet', async () => {
  const response = await fetch(`${sandbox.bases.IG_GRAPH_BASE}/v26.0/me`);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { code: 2500 } });
});
