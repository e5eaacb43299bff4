import { type Sandbox } from '../../src/sandbox/sandbox';
import { metaJson, signatureHeaders } from '../../src/sandbox/webhooks/signature';
import { startReceiver, type Receiver } from './receiver';
import { ADA, APP_ID, APP_TOKEN, BAR, connectBar, control, graph, longToken, start } from './support';

const HOUR = 3_600_000;

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

it('signs the documented body with the documented signatures', () => {
  const body = metaJson({
    object: 'instagram',
    entry: [
      {
        id: BAR,
        time: 1795000000,
        changes: [
          {
            field: 'comments',
            value: {
              id: '18055512340067890',
              from: { id: '1203344556677889', username: 'bär.køb' },
              media: { id: '17955501234567001', media_product_type: 'FEED' },
              text: 'Fin—t! 😀',
            },
          },
        ],
      },
    ],
  });
  expect(body).toHaveLength(306);
  const meta = signatureHeaders(sandbox.state.app, 'facebook', body, 'valid');
  expect(meta).toEqual({
    'X-Hub-Signature-256': 'sha256=f3aec5992f91b504750a7db91ed48c410267d4299c35f8e434934b2a471c6b2b',
    'X-Hub-Signature': 'sha1=96b791ad3bf438f2bfd2baa4a8656e2e8e531ffb',
  });
  const instagram = signatureHeaders(sandbox.state.app, 'instagram', body, 'valid');
  expect(instagram['X-Hub-Signature-256']).toBe(
    'sha256=0e7e4aadf7e6dfed1bc728e22915bb20d909ffcae0189dde554218a0f699c99d',
  );
});

describe('a comment of a customer', () => {
  it('reaches the connected app, escaped and signed', async () => {
    await connectBar(sandbox);
    const { comment } = sandbox.customerComments({ text: 'Schön 😀', customer: 'lena' });
    await sandbox.settle();
    const [post] = receiver.posts;
    expect(post?.body).toContain(String.raw`Sch\u00f6n \ud83d\ude00`);
    expect(bodyOf(0)).toEqual({
      object: 'instagram',
      entry: [
        {
          id: BAR,
          time: Math.floor(comment.createdAt / 1000),
          changes: [
            {
              field: 'comments',
              value: {
                id: comment.id,
                from: { id: '1203344556677889', username: 'lena.demo' },
                media: { id: '17955501234567001', media_product_type: 'FEED' },
                text: 'Schön 😀',
              },
            },
          ],
        },
      ],
    });
    const expected = signatureHeaders(sandbox.state.app, 'facebook', post?.body ?? '', 'valid');
    expect(post?.headers['x-hub-signature-256']).toBe(expected['X-Hub-Signature-256']);
    expect(post?.headers['x-hub-signature']).toBe(expected['X-Hub-Signature']);
  });

  it('can be read back through the Graph API', async () => {
    const access_token = await connectBar(sandbox);
    const { comment } = sandbox.customerComments({ text: 'Hello' });
    const { body } = await graph(sandbox, `/${comment.id}`, { access_token, fields: 'text,username' });
    expect(body).toEqual({ id: comment.id, text: 'Hello', username: 'lena.demo' });
  });
});

describe('messages of a customer', () => {
  it('tell text, edit, reaction and unsending about the same message', async () => {
    await connectBar(sandbox);
    const { message } = sandbox.customerMessages({ text: 'Hello' });
    const about = { mid: message.mid };
    await control(sandbox, '/customers/edits', { ...about, text: 'Hello?' });
    await control(sandbox, '/customers/reactions', { ...about, reaction: 'love' });
    await control(sandbox, '/customers/unsends', about);
    await control(sandbox, '/customers/story-mentions', {});
    await sandbox.settle();
    const items = receiver.posts.map((_, index) => bodyOf(index).entry[0]?.messaging?.[0]);
    expect(items[0]).toMatchObject({
      sender: { id: '1203344556677889' },
      recipient: { id: BAR },
      message: { mid: message.mid, text: 'Hello' },
    });
    expect(items[1]).toMatchObject({ message_edit: { mid: message.mid, text: 'Hello?', num_edit: 1 } });
    expect(items[2]).toMatchObject({ reaction: { mid: message.mid, action: 'react', emoji: '❤️' } });
    expect(items[3]).toMatchObject({ message: { mid: message.mid, is_deleted: true } });
    expect(items[4]).toMatchObject({ message: { attachments: [{ type: 'story_mention' }] } });
  });
});

describe('an event Meta would not send', () => {
  it.each([
    ['an account that is not connected', 'not_connected', () => sandbox.subscribeApp()],
    [
      'no app subscription',
      'app_not_subscribed',
      async () => {
        await connectBar(sandbox);
        sandbox.state.subscriptions = [];
      },
    ],
    [
      'a field nobody subscribed',
      'field_not_subscribed',
      async () => {
        await connectBar(sandbox);
        const query = { access_token: APP_TOKEN, object: 'instagram', fields: 'comments' };
        await graph(sandbox, `/${APP_ID}/subscriptions`, query, 'DELETE');
      },
    ],
    [
      'a missing permission',
      'permission_missing',
      async () => {
        await connectBar(sandbox, { _decline: 'instagram_manage_comments' });
      },
    ],
    [
      'a removed app',
      'app_removed',
      async () => {
        await connectBar(sandbox);
        await control(sandbox, `/people/${ADA}/remove-app`, {});
      },
    ],
    [
      'a private account',
      'account_private',
      async () => {
        await connectBar(sandbox);
        sandbox.state.igAccounts[0]!.isPrivate = true;
      },
    ],
  ])('is suppressed for %s, with the reason', async (_, code, prepare) => {
    await prepare();
    await sandbox.settle();
    receiver.posts.length = 0;
    const { deliveries } = sandbox.customerComments({ text: 'Anybody?' });
    await sandbox.settle();
    expect(deliveries.map(({ state }) => state)).toEqual(['suppressed']);
    expect(deliveries[0]?.reasons.map((reason) => reason.code)).toEqual([code]);
    expect(receiver.posts).toEqual([]);
    const listed = await (await control(sandbox, '/outbox?state=suppressed')).json();
    expect(listed).toMatchObject({ deliveries: [{ reasons: [{ code }] }] });
  });

  it('comes again once the account is connected', async () => {
    await sandbox.subscribeApp();
    sandbox.customerComments({ text: 'Too early' });
    await connectBar(sandbox);
    sandbox.customerComments({ text: 'In time' });
    await sandbox.settle();
    expect(receiver.posts).toHaveLength(1);
  });
});

describe('retries', () => {
  beforeEach(() => connectBar(sandbox));

  it('go on until the app answers 200', async () => {
    receiver.statuses = [500, 503, 404];
    const { deliveries } = sandbox.customerComments({ text: 'Again' });
    await sandbox.settle();
    expect(receiver.posts).toHaveLength(2);
    sandbox.advanceClock(1000);
    await sandbox.settle();
    sandbox.advanceClock(5000);
    await sandbox.settle();
    expect(deliveries[0]?.state).toBe('delivered');
    expect(deliveries[0]?.attempts.map(({ status }) => status)).toEqual([500, 503, 404, 200]);
    expect(new Set(receiver.posts.map(({ body }) => body)).size).toBe(1);
  });

  it('follow an answer that does not come in time', async () => {
    sandbox.state.settings.webhookDeadlineMs = 50;
    receiver.statuses = [0];
    const { deliveries } = sandbox.customerComments({ text: 'Slow' });
    await sandbox.settle();
    expect(deliveries[0]?.attempts.map(({ verdict }) => verdict)).toEqual(['timeout', 'accepted']);
  });

  it('end after 36 hours', async () => {
    receiver.statuses = Array<number>(50).fill(500);
    const { deliveries } = sandbox.customerComments({ text: 'Never' });
    for (let hours = 0; hours < 40; hours += 3) {
      await sandbox.settle();
      sandbox.advanceClock(3 * HOUR);
    }
    await sandbox.settle();
    expect(deliveries[0]?.state).toBe('dropped');
  });

  it('end after an hour, and with the installation, in the messenger regime', async () => {
    sandbox.state.settings.retryProfile = 'messenger';
    receiver.statuses = Array<number>(50).fill(500);
    const { deliveries } = sandbox.customerMessages({ text: 'Never' });
    await sandbox.settle();
    sandbox.advanceClock(HOUR);
    await sandbox.settle();
    expect(deliveries[0]?.state).toBe('dropped');
    expect(sandbox.state.pages[0]?.installs).toEqual([]);
  });
});

describe('send options', () => {
  beforeEach(() => connectBar(sandbox));

  it('batch many events into few bodies', async () => {
    send({ count: 250, options: { batch: 100 } });
    await sandbox.settle();
    expect(receiver.posts.map((_, index) => bodyOf(index).entry.length)).toEqual([100, 100, 50]);
  });

  it('duplicate, and reverse the order', async () => {
    send({ count: 3, text: 'x', options: { duplicate: 1 } });
    await sandbox.settle();
    expect(new Set(receiver.posts.map(({ body }) => body)).size).toBe(3);
    expect(receiver.posts).toHaveLength(6);

    receiver.posts.length = 0;
    const deliveries = send({ count: 3, options: { reorder: 'reverse' } });
    await sandbox.settle();
    expect(receiver.posts.map(({ body }) => body)).toEqual(deliveries.map(({ body }) => body));
    expect(receiver.posts[0]?.body).toContain('Demo comment 3');
  });

  it('hold a delivery back until it is released', async () => {
    send({ options: { hold: true } });
    await sandbox.settle();
    expect(receiver.posts).toHaveLength(0);
    expect(sandbox.releaseHeld()).toBe(1);
    await sandbox.settle();
    expect(receiver.posts).toHaveLength(1);
  });

  it('sign wrongly, by half or not at all', async () => {
    for (const signature of ['wrong', 'missing', 'sha1only', 'truncated', 'otherSecret'] as const) {
      send({ options: { signature } });
    }
    await sandbox.settle();
    const right = (body: string) =>
      signatureHeaders(sandbox.state.app, 'facebook', body, 'valid')['X-Hub-Signature-256'];
    const given = receiver.posts.map(({ headers }) => headers['x-hub-signature-256']);
    expect(receiver.posts.every(({ body }, index) => given[index] !== right(body))).toBe(true);
    expect(given.map((signature) => typeof signature)).toEqual([
      'string',
      'undefined',
      'undefined',
      'string',
      'string',
    ]);
  });

  it.each([
    ['flat', 'comment', { shape: 'flat' }, [{ id: BAR, field: 'comments' }]],
    [
      'as the dashboard tests',
      'message',
      { shape: 'dashboardTest' },
      [{ id: '0', changes: [{ field: 'messages', value: { message: { mid: 'random_mid' } } }] }],
    ],
    [
      'as standby, with times as text',
      'message',
      { standby: true, timeUnit: 'string' },
      [{ time: expect.any(String), standby: [{ timestamp: expect.any(String) }] }],
    ],
    [
      'as an echo',
      'message',
      { echo: true },
      [{ messaging: [{ sender: { id: BAR }, message: { is_echo: true } }] }],
    ],
    [
      'with the deletion before the message',
      'message',
      { tombstoneFirst: true, perEntry: 2 },
      [{ messaging: [{ message: { is_deleted: true } }, { message: { text: 'Demo message 1' } }] }],
    ],
    [
      'with a field of the future',
      'comment',
      { unknownField: true, perEntry: 2 },
      [{ changes: [{ field: 'comments' }, { field: 'future_field' }] }],
    ],
    ['with names only', 'comment', { changedFieldsOnly: true }, [{ changed_fields: ['comments'] }]],
  ])('shape events %s', async (_, template, options, entry) => {
    send({ template, options });
    await sandbox.settle();
    expect(bodyOf(0)).toMatchObject({ object: 'instagram', entry });
  });

  it('send huge and broken bodies', async () => {
    send({ options: { hugeBody: 3_000_000 } });
    send({ options: { malformedJson: true } });
    await sandbox.settle();
    expect(receiver.posts[0]?.body.length).toBeGreaterThan(2_900_000);
    expect(() => bodyOf(1)).toThrow(SyntaxError);
  });

  it('take a raw body as it is, for accounts nobody knows too', async () => {
    const entry = [{ id: '17841499999999999', time: 1, changes: [{ field: 'comments', value: {} }] }];
    sandbox.sendWebhook({ object: 'instagram', entry });
    await sandbox.settle();
    expect(bodyOf(0)).toEqual({ object: 'instagram', entry });
  });

  function send(more: { template?: string; count?: number; text?: string; options?: object }) {
    return sandbox.sendWebhook({ template: 'comment', ...more });
  }
});

it('tells the journal nothing that opens a door', async () => {
  const token = await connectBar(sandbox);
  const user = await longToken(sandbox);
  const shown =
    JSON.stringify(sandbox.journal()) +
    (await (await control(sandbox, '/state')).text()) +
    (await (await control(sandbox, '/journal')).text());
  for (const secret of [
    token,
    user,
    'demo-meta-app-secret',
    'demo-ig-app-secret',
    'demo-verify-token',
    'AQB',
  ]) {
    expect(shown).not.toContain(secret);
  }
  expect(sandbox.journal().at(-1)).toMatchObject({
    host: 'graph.facebook.com',
    method: 'GET',
    path: '/oauth/access_token',
    parameters: ['client_id', 'client_secret', 'fb_exchange_token', 'grant_type'],
    status: 200,
  });
});

interface Body {
  object: string;
  entry: { id: string; messaging?: object[]; changes?: object[] }[];
}

function bodyOf(index: number): Body {
  return JSON.parse(receiver.posts[index]?.body ?? '') as Body;
}
