import { type Sandbox } from '../../src/sandbox/sandbox';
import { BAR, BAR_PAGE, control, graph, longToken, pageToken, start, APP_TOKEN } from './support';

let sandbox: Sandbox;
let access_token: string;
beforeEach(async () => {
  sandbox = await start(null);
  access_token = await longToken(sandbox);
});
afterEach(() => sandbox.close());

const me = () => graph(sandbox, '/me', { access_token });

it.each([
  ['token_expired', 400, 190, 463],
  ['password_changed', 400, 190, 460],
  ['logged_out', 400, 190, 467],
  ['checkpoint', 400, 190, 459],
  ['unconfirmed', 400, 190, 464],
  ['app_removed', 400, 190, 458],
  ['role_lost', 400, 190, 492],
  ['permission_revoked', 403, 200, undefined],
  ['app_limit', 400, 4, undefined],
  ['page_limit', 400, 32, undefined],
  ['user_limit', 400, 17, undefined],
  ['custom_limit', 400, 613, undefined],
  ['spam_block', 400, 4, 2_207_051],
  ['policy_block', 400, 368, undefined],
  ['transient', 503, 2, undefined],
])('the fault %s answers %i with code %i', async (action, status, code, subcode) => {
  sandbox.addFault({ action });
  const answer = await me();
  expect([answer.status, answer.body.error.code, answer.body.error.error_subcode]).toEqual([
    status,
    code,
    subcode,
  ]);
  sandbox.clearFaults();
  expect((await me()).body.error).toBeUndefined();
});

it('leaves the app’s own token alone when a person’s tokens fail', async () => {
  sandbox.addFault({ action: 'token_expired' });
  const answer = await graph(sandbox, '/debug_token', { input_token: access_token, access_token: APP_TOKEN });
  expect(answer.body.data.is_valid).toBe(true);
});

it('carries the usage headers of a limit, and lengthens it with every call', async () => {
  sandbox.addFault({ action: 'ig_limit' });
  sandbox.addFault({ action: 'app_limit' });
  const usage = async () => {
    const { headers } = await graph(sandbox, `/${BAR}`, { access_token });
    return JSON.parse(headers.get('x-business-use-case-usage') ?? '{}') as Record<
      string,
      { estimated_time_to_regain_access: number }[]
    >;
  };
  const [first, second] = [await usage(), await usage()];
  expect(first[BAR]?.[0]?.estimated_time_to_regain_access).toBe(5);
  expect(second[BAR]?.[0]?.estimated_time_to_regain_access).toBe(6);
  expect((await me()).headers.get('x-app-usage')).toContain('"call_count":101');
});

it('blocks for real when the counters reach the limit', async () => {
  sandbox.state.settings.appCallsPerHour = 10;
  sandbox.state.usage = {};
  for (let calls = 0; calls < 10; calls += 1) expect((await me()).status).toBe(200);
  const blocked = await me();
  expect(blocked.body.error.code).toBe(4);
  expect(blocked.headers.get('x-app-usage')).toContain('110');
  sandbox.advanceClock(3_600_000);
  expect((await me()).status).toBe(200);
});

describe('matching', () => {
  it('limits a fault by path, method, account and number of times', async () => {
    const page = await pageToken(sandbox, access_token);
    sandbox.addFault({ action: 'transient', match: { path: '/*/subscribed_apps', method: 'POST' } });
    expect((await me()).status).toBe(200);
    const params = { access_token: page, subscribed_fields: 'feed' };
    expect((await graph(sandbox, `/${BAR_PAGE}/subscribed_apps`, params, 'POST')).status).toBe(503);

    sandbox.clearFaults();
    sandbox.addFault({ action: 'transient', match: { account: BAR }, times: 1 });
    expect((await me()).status).toBe(200);
    expect((await graph(sandbox, `/${BAR}`, { access_token })).status).toBe(503);
    expect((await graph(sandbox, `/${BAR}`, { access_token })).status).toBe(200);
  });

  it('begins after some calls, or hits only the nth', async () => {
    sandbox.addFault({ action: 'transient', after: 1, times: 1 });
    expect([(await me()).status, (await me()).status, (await me()).status]).toEqual([200, 503, 200]);
    sandbox.clearFaults();
    sandbox.addFault({ action: 'transient', match: { nth: 2 } });
    expect([(await me()).status, (await me()).status, (await me()).status]).toEqual([200, 503, 200]);
  });

  it('hits one token by its label', async () => {
    const label = sandbox.state.tokens.find(({ value }) => value === access_token)?.label ?? '';
    const other = await longToken(sandbox);
    sandbox.addFault({ action: 'token_expired', match: { token: label } });
    expect((await me()).status).toBe(400);
    expect((await graph(sandbox, '/me', { access_token: other })).status).toBe(200);
  });
});

it('can let the call take effect and fail all the same', async () => {
  const token = await pageToken(sandbox, access_token);
  sandbox.addFault({ action: 'transient', applyFirst: true });
  const params = { access_token: token, subscribed_fields: 'feed' };
  const answer = await graph(sandbox, `/${BAR_PAGE}/subscribed_apps`, params, 'POST');
  expect(answer.status).toBe(503);
  expect(sandbox.state.pages[0]?.installs).toHaveLength(1);
});

describe('spoiled answers', () => {
  it('drop the connection before or in the middle of the answer', async () => {
    sandbox.addFault({ action: 'drop', times: 1 });
    await expect(me()).rejects.toThrow('fetch failed');
    sandbox.addFault({ action: 'drop', params: { when: 'middle' } });
    await expect(me()).rejects.toThrow();
  });

  it.each([
    ['truncated', 200, '{"id":"'],
    ['html', 502, '<!doctype html>'],
    ['empty', 200, ''],
    ['string_error', 400, '{"error":"invalid_request"}'],
    ['error_in_200', 200, '{"error":{'],
  ])('are malformed: %s', async (kind, status, beginning) => {
    sandbox.addFault({ action: 'malformed', params: { kind } });
    const answer = await me();
    expect(answer.status).toBe(status);
    expect(answer.text.startsWith(beginning)).toBe(true);
  });

  it('come late, or piece by piece', async () => {
    sandbox.addFault({ action: 'slow', params: { ms: 80 }, times: 1 });
    const startedAt = performance.now();
    expect((await me()).status).toBe(200);
    expect(performance.now() - startedAt).toBeGreaterThan(70);
    sandbox.addFault({ action: 'slow', params: { ms: 80, kind: 'drip' } });
    expect((await me()).body.name).toBe('Ada Example');
  });

  it('have numeric ids above 2^53, unknown keys and "true" as text', async () => {
    sandbox.addFault({ action: 'unexpected_shape' });
    const { text, body } = await graph(sandbox, '/17841455500044469', {
      access_token: await longToken(sandbox, { _person: '10225550004445557' }),
    });
    expect(text).toContain('"id":17841455500044469');
    expect(String(body.id)).not.toBe('17841455500044469');
    expect(text).toContain('__future_field');
  });

  it('begin with an empty page that leads to the real one', async () => {
    sandbox.addFault({ action: 'empty_page' });
    const first = await graph(sandbox, '/me/accounts', { access_token });
    expect(first.body.data).toEqual([]);
    const { cursors } = first.body.paging as { cursors: { after: string } };
    const second = await graph(sandbox, '/me/accounts', { access_token, after: cursors.after });
    expect(second.body.data.length).toBeGreaterThan(0);
  });
});

it('shows a revoked permission as declined from then on', async () => {
  sandbox.addFault({ action: 'permission_revoked', params: { permission: 'instagram_basic' }, times: 1 });
  expect((await graph(sandbox, `/${BAR}`, { access_token })).body.error.code).toBe(200);
  const { body } = await graph(sandbox, '/me/permissions', { access_token });
  expect(body.data).toContainEqual({ permission: 'instagram_basic', status: 'declined' });
});

it('is managed over HTTP, and refuses what it does not know', async () => {
  const added = (await (await control(sandbox, '/faults', { action: 'transient' })).json()) as { id: string };
  expect((await me()).status).toBe(503);
  await fetch(`${sandbox.url}/_sandbox/faults/${added.id}`, { method: 'DELETE' });
  expect((await me()).status).toBe(200);
  expect((await control(sandbox, '/faults', { action: 'gremlins' })).status).toBe(400);
});
