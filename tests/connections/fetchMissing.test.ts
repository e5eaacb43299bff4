import { fetchMissing } from '../../src/connections/fetchMissing';
import { closeContext, createContext, type AppContext } from '../../src/context';
import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { type Interaction, NOTHING } from '../../src/meta/interaction';
import { testConfig, useApp } from '../support/app';
import { BAKERY_ACCOUNT, BAR_ACCOUNT, BRUNO, connect, START } from '../support/connect';
import { type Browser } from '../support/browser';
import { type RudeAnswer, useRudeMeta } from '../support/rudeMeta';

const app = useApp({ sandbox: true, env: { RATE_LIMIT_SCALE: '100' } });
const rude = useRudeMeta();
const BAR_PAGE = '104455667788990';
const neverStop = new AbortController().signal;
let browser: Browser;

beforeEach(async () => {
  app.sandbox.reset();
  await app.sandbox.subscribeApp();
  await query(
    'TRUNCATE users, interactions, webhook_deliveries, webhook_events, webhook_event_stats CASCADE',
  );
  browser = app.browser();
  await browser.register();
  await connect(browser, { pages: [BAR_PAGE] });
});

const run = (context: AppContext = app.context) => processWebhookEvents(context, neverStop);
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;
const interactions = () =>
  query(
    'SELECT kind, external_id, thread_id, parent_external_id, direction, author_id, author_username, body, details FROM interactions ORDER BY id',
  );
const events = () => query('SELECT status, attempts, last_error FROM webhook_events ORDER BY id');
const connection = async () => (await query('SELECT status, status_code FROM instagram_accounts'))[0];
const dueNow = () => query(`UPDATE webhook_events SET next_attempt_at = now() WHERE status = 'failed'`);
const journal = () => app.sandbox.journal();
const accountId = async () => (await query<{ id: string }>('SELECT id FROM instagram_accounts'))[0]!.id;

async function mention(place: 'comment' | 'caption' = 'comment', account = BAR_ACCOUNT) {
  const result = app.sandbox.customerMentions({ account, place, text: 'You must try @bar.example 😀' });
  await app.sandbox.settle();
  return result.mention;
}

describe('what Meta leaves out', () => {
  it('of a mention in a comment is its text, author and time', async () => {
    const { mediaId, commentId, createdAt } = await mention();
    expect(await run()).toMatchObject({ processed: 1 });
    expect(await interactions()).toEqual([
      {
        kind: 'mention',
        external_id: `${mediaId}:${commentId}`,
        thread_id: mediaId,
        parent_external_id: commentId,
        direction: 'in',
        author_id: null,
        author_username: 'lena.demo',
        body: 'You must try @bar.example 😀',
        details: { place: 'comment', writtenAt: new Date(Math.floor(createdAt / 1000) * 1000).toISOString() },
      },
    ]);
  });

  it('of a mention in a caption is the caption', async () => {
    await mention('caption');
    await run();
    expect(await interactions()).toMatchObject([
      {
        author_username: 'lena.demo',
        body: 'You must try @bar.example 😀',
        details: { place: 'caption', mediaType: 'IMAGE' },
      },
    ]);
  });

  it('of a comment is its author', async () => {
    app.sandbox.customerComments({ text: 'Who am I?', withoutAuthor: true });
    await app.sandbox.settle();
    await run();
    expect(await interactions()).toMatchObject([
      { kind: 'comment', author_id: '1203344556677889', author_username: 'lena.demo', body: 'Who am I?' },
    ]);
  });

  it('is not asked for when nothing is missing', async () => {
    app.sandbox.customerComments({ text: 'All here' });
    await app.sandbox.settle();
    app.sandbox.addFault({ action: 'drop' });
    expect(await run()).toMatchObject({ processed: 1, retrying: 0 });
  });

  it('may be gone: then what is known is kept', async () => {
    const { mediaId } = await mention();
    app.sandbox.state.mentions.length = 0;
    expect(await run()).toMatchObject({ processed: 1 });
    expect(await interactions()).toMatchObject([
      { thread_id: mediaId, body: null, details: { place: 'comment', unavailable: true } },
    ]);
  });
});

describe('a lookup that fails', () => {
  it.each(['transient', 'drop', 'malformed', 'ig_limit', 'app_limit'])(
    'with %s is tried again by the schedule',
    async (action) => {
      await mention();
      app.sandbox.addFault({ action, times: 3 });
      expect(await run()).toMatchObject({ retrying: 1 });
      const [{ last_error: code } = { last_error: '' }] = await query<{ last_error: string }>(
        'SELECT last_error FROM webhook_events',
      );
      expect(code).toBe(action.endsWith('_limit') ? 'meta_busy' : 'meta_unreachable');
      app.sandbox.clearFaults();
      await dueNow();
      expect(await run()).toMatchObject({ processed: 1 });
      expect(await interactions()).toMatchObject([{ author_username: 'lena.demo' }]);
      expect(await connection()).toMatchObject({ status: 'active' });
    },
  );

  it('with a 190 that Meta does not stand by disconnects nobody and is tried again', async () => {
    await mention();
    app.sandbox.addFault({ action: 'token_expired' });
    expect(await run()).toMatchObject({ retrying: 1 });
    expect(await events()).toMatchObject([{ status: 'failed', last_error: 'token_check_disagrees' }]);
    expect(await connection()).toMatchObject({ status: 'active' });
  });

  it('because the token died waits for the owner, asks no more, and goes on after a reconnect', async () => {
    await mention();
    await mention('caption');
    for (const token of app.sandbox.state.tokens) token.revokedWith = 467;
    expect(await run()).toMatchObject({ deadLettered: 2 });
    expect(await events()).toEqual([
      { status: 'dead_letter', attempts: 1, last_error: 'needs_reconnect' },
      { status: 'dead_letter', attempts: 1, last_error: 'needs_reconnect' },
    ]);
    expect(await connection()).toMatchObject({ status: 'needs_reconnect' });
    const calls = journal().filter(({ path }) => path === `/${BAR_ACCOUNT}`);
    // the first event asked, and the check of the connection asked; the second event did not
    expect(calls.filter(({ errorCode }) => errorCode === 190)).toHaveLength(2);

    await connect(browser, { pages: [BAR_PAGE] }, `${START}&account=${await accountId()}`);
    expect(await events()).toMatchObject([{ status: 'pending', attempts: 0 }, { status: 'pending' }]);
    expect(await run()).toMatchObject({ processed: 2 });
    expect(
      await query(
        'SELECT sum(dead_letter)::int AS dead, sum(processed)::int AS processed FROM webhook_event_counts',
      ),
    ).toEqual([{ dead: 0, processed: 2 }]);
  });

  it('goes on after a check that finds the connection well', async () => {
    await mention();
    await query(`UPDATE instagram_accounts SET status = 'needs_reconnect', status_code = 'token_invalid'`);
    expect(await run()).toMatchObject({ deadLettered: 1 });
    await browser.post(`/accounts/${await accountId()}/check`);
    expect(await events()).toMatchObject([{ status: 'pending', attempts: 0, last_error: null }]);
    expect(await run()).toMatchObject({ processed: 1 });
  });

  it('because a permission is missing names it and asks no more', async () => {
    await mention();
    await mention('caption');
    app.sandbox.state.grants[0]!.permissions['instagram_manage_comments']!.status = 'declined';
    expect(await run()).toMatchObject({ deadLettered: 2 });
    expect(await events()).toMatchObject([
      { status: 'dead_letter', last_error: 'needs_permission:instagram_manage_comments' },
      { status: 'dead_letter', last_error: 'needs_permission:instagram_manage_comments' },
    ]);
    expect(await connection()).toMatchObject({ status: 'limited', status_code: 'permission_missing' });
    expect(journal().filter(({ errorCode }) => errorCode === 10)).toHaveLength(1);
  });
});

describe('with a Meta that behaves badly', () => {
  let context: AppContext;
  beforeEach(async () => {
    const { config } = app.context;
    context = createContext({
      ...testConfig(config.baseUrl, config.database.connectionString, { META_GRAPH_BASE: rude.url }),
      webhook: { ...config.webhook, leaseSeconds: 2 },
    });
    await mention();
  });
  afterEach(() => closeContext(context));

  const answer = (given: RudeAnswer) => {
    rude.nodes.set(BAR_ACCOUNT, given);
  };

  it('that hangs the attempt ends before its lease and counts', async () => {
    answer({ hang: true });
    expect(await run(context)).toMatchObject({ retrying: 1, rescued: 0 });
    expect(await events()).toEqual([{ status: 'failed', attempts: 1, last_error: 'meta_unreachable' }]);
  });

  it('that hangs when the processor is stopped costs the event no attempt', async () => {
    answer({ hang: true });
    const stop = new AbortController();
    rude.onNode = () => stop.abort();
    await processWebhookEvents(context, stop.signal);
    expect(await events()).toEqual([{ status: 'pending', attempts: 0, last_error: null }]);
  });

  it.each<[string, RudeAnswer]>([
    ['a page instead of JSON', { status: 502, body: '<html>Bad gateway</html>' }],
    ['nothing at all', { body: '' }],
    ['half an answer', { body: '{"mentioned_comment":{"te' }],
  ])('that answers %s the event is tried again', async (_name, given) => {
    answer(given);
    expect(await run(context)).toMatchObject({ retrying: 1 });
    expect(await events()).toMatchObject([{ last_error: 'meta_unreachable' }]);
  });

  it.each<[string, RudeAnswer]>([
    ['24', { status: 400, body: '{"error":{"message":"x","code":24,"error_subcode":2207006}}' }],
    ['100/33', { status: 400, body: '{"error":{"message":"x","code":100,"error_subcode":33}}' }],
    ['nothing', { body: '{"id":"1"}' }],
  ])('that answers %s the mention is kept as unavailable', async (_name, given) => {
    answer(given);
    expect(await run(context)).toMatchObject({ processed: 1 });
    expect(await interactions()).toMatchObject([{ details: { unavailable: true } }]);
  });

  it.each<[string, RudeAnswer]>([
    ['meta_refused', { status: 400, body: '{"error":{"message":"Invalid parameter","code":100}}' }],
    ['meta_blocked', { status: 400, body: '{"error":{"message":"x","code":368}}' }],
  ])('that refuses for good the event ends with %s', async (code, given) => {
    answer(given);
    expect(await run(context)).toMatchObject({ deadLettered: 1 });
    expect(await events()).toEqual([{ status: 'dead_letter', attempts: 1, last_error: code }]);
  });

  it('that leaves fields out or sends text no database takes the rest is kept', async () => {
    answer({ body: String.raw`{"mentioned_comment":{"text":"a\u0000b\ud83d","media":7},"id":"1"}` });
    expect(await run(context)).toMatchObject({ processed: 1 });
    expect(await interactions()).toMatchObject([{ body: 'a\ufffdb\ufffd', author_username: null }]);
  });
});

it('asks with the token of the account it belongs to', async () => {
  const other = app.browser();
  await other.register();
  await connect(other, { person: BRUNO, pages: ['104455667788995'] });
  await mention('comment', BAR_ACCOUNT);
  await mention('comment', BAKERY_ACCOUNT);
  expect(await run()).toMatchObject({ processed: 2 });
  const asked = journal().filter(
    ({ path, parameters }) =>
      path.startsWith('/17841') && parameters.join() === 'access_token,appsecret_proof,fields',
  );
  const tokenOn = (pageId: string) =>
    app.sandbox.state.tokens.filter((token) => token.pageId === pageId).map(({ label }) => label);
  for (const { path, token } of asked)
    expect(tokenOn(path === `/${BAR_ACCOUNT}` ? BAR_PAGE : '104455667788995')).toContain(token);
  expect(new Set(asked.map(({ path }) => path))).toEqual(new Set([`/${BAR_ACCOUNT}`, `/${BAKERY_ACCOUNT}`]));
});

it('asks for nothing that is not an id', async () => {
  const [row] = await query<{ id: string; user_id: string }>('SELECT id, user_id FROM instagram_accounts');
  const owner = { instagramAccountId: row!.id, userId: row!.user_id };
  const about: Interaction = { ...NOTHING, kind: 'mention', externalId: 'x', threadId: '1){id},me{id' };
  const calls = journal().length;
  expect(await fetchMissing(app.context, owner, about, neverStop)).toMatchObject({
    details: { unavailable: true },
  });
  expect(journal()).toHaveLength(calls);
});
