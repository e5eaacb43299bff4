import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { useApp } from '../support/app';
import { type Browser } from '../support/browser';
import { makeAccount } from '../support/factories';
import { commentItem, deliver, messageItem, notification } from '../support/webhook';

const app = useApp();
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;

let ada: Browser;
let bob: Browser;
let account: { id: string; igUserId: string };

beforeEach(async () => {
  await query(
    'TRUNCATE users, interactions, sessions, rate_limits, webhook_deliveries, webhook_events, webhook_event_stats RESTART IDENTITY CASCADE',
  );
  ada = app.browser();
  bob = app.browser();
  const { id } = await ada.register();
  await bob.register();
  account = await makeAccount(app.context.pool, id);
});

/** Comments on Ada's account, in this order. */
async function receive(...ids: string[]): Promise<void> {
  for (const id of ids)
    await deliver(app.url, notification(account.igUserId, { changes: [commentItem(id, `text of ${id}`)] }));
}
const run = () => processWebhookEvents(app.context, new AbortController().signal);
const setStatus = (status: string) => query('UPDATE webhook_events SET status = $1', [status]);

describe('GET /api/webhook-events', () => {
  it('lists the own events, newest first, page by page', async () => {
    await receive('a', 'b', 'c', 'd', 'e');
    const first = await ada.json('GET', '/api/webhook-events?limit=2');
    expect(first.body).toMatchObject({ limit: 2, events: [{ id: '5' }, { id: '4' }], nextCursor: '4' });
    expect(Object.keys(first.body.events[0])).toEqual([
      'id',
      'accountId',
      'eventType',
      'status',
      'attempts',
      'lastError',
      'nextAttemptAt',
      'occurredAt',
      'receivedAt',
      'processedAt',
      'duplicateCount',
    ]);
    const last = await ada.json('GET', `/api/webhook-events?limit=4&cursor=${first.body.nextCursor}`);
    expect(last.body).toMatchObject({ events: [{ id: '3' }, { id: '2' }, { id: '1' }], nextCursor: null });
    expect((await ada.json('GET', '/api/webhook-events?offset=3')).body.events).toHaveLength(2);
  });

  it('filters by status, type, account, time and words, several values each', async () => {
    await receive('a', 'b');
    await deliver(
      app.url,
      notification(account.igUserId, { messaging: [messageItem('m', account.igUserId, '100% sure_thing')] }),
    );
    await query(`UPDATE webhook_events SET status = 'dead_letter' WHERE id = 1`);
    const ids = async (filter: string) =>
      ((await ada.json('GET', `/api/webhook-events?${filter}`)).body.events as { id: string }[]).map(
        ({ id }) => id,
      );
    expect(await ids('status=dead_letter')).toEqual(['1']);
    expect(await ids('status=dead_letter&status=pending')).toEqual(['3', '2', '1']);
    expect(await ids('status=dead_letter,pending&eventType=comments')).toEqual(['2', '1']);
    expect(await ids(`accountId=${account.id}&eventType=messages`)).toEqual(['3']);
    expect(await ids('accountId=999')).toEqual([]);
    expect(await ids('q=TEXT%20of%20B')).toEqual(['2']);
    expect(await ids('q=100%25%20sure_')).toEqual(['3']);
    expect(await ids('q=1%25sure')).toEqual([]);
    expect(await ids('from=2020-01-01&to=2021-01-01T00:00:00Z')).toEqual([]);
  });

  it.each([
    'limit=-1',
    'limit=0',
    'limit=1e9',
    'limit=NaN',
    'limit[]=5',
    'limit=1&limit=2',
    'offset=999999999',
    'cursor=abc',
    `cursor=${'9'.repeat(30)}`,
    'status=nonsense',
    "status=' OR 1=1",
    'accountId=1%27',
    'from=yesterday',
    'to=2026-13-45',
    'q=%00',
    `q=${'x'.repeat(201)}`,
    'eventType=a%00b',
  ])('answers 400 to %s, or ignores what it does not know', async (filter) => {
    const { status, body } = await ada.json('GET', `/api/webhook-events?${filter}`);
    if (filter === 'limit[]=5') expect(status).toBe(200);
    else {
      expect(status).toBe(400);
      expect(body.error).toMatchObject({
        code: 'invalid_query',
        message: expect.any(String),
        requestId: expect.any(String),
      });
    }
  });

  it('gives a hundred at most', async () => {
    expect((await ada.json('GET', '/api/webhook-events?limit=5000')).body.limit).toBe(100);
  });

  it('asks for a log-in', async () => {
    expect((await app.browser().json('GET', '/api/webhook-events')).status).toBe(401);
  });
});

describe('statistics', () => {
  it('count what the list shows, by status, type and hour', async () => {
    await receive('a', 'b', 'c');
    await run();
    await receive('d', 'e');
    await query(`UPDATE webhook_events SET status = 'failed' WHERE id = 4`);
    const { body } = await ada.json('GET', '/api/webhook-events/stats');
    expect(body).toMatchObject({
      total: 5,
      pending: 1,
      processing: 0,
      processed: 3,
      failed: 1,
      deadLetter: 0,
      byType: [{ eventType: 'comments', processed: 3, waiting: 2 }],
    });
    expect(new Date(String(body.lastReceived)).getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(body.series).toHaveLength(24);
    expect((body.series as object[]).at(-1)).toMatchObject({ processed: 3, failed: 1, waiting: 1 });
    expect((await bob.json('GET', '/api/webhook-events/stats')).body).toMatchObject({
      total: 0,
      lastReceived: null,
      byType: [],
    });
  });

  it('refuse a range that cannot be', async () => {
    expect((await ada.json('GET', '/api/webhook-events/stats?from=2000-01-01&to=2026-01-01')).status).toBe(
      400,
    );
    expect((await ada.json('GET', '/api/webhook-events/stats?from=1990-01-01')).status).toBe(400);
    expect((await ada.json('GET', '/api/webhook-events/stats?from=nope')).status).toBe(400);
    expect((await ada.json('GET', '/api/webhook-events/stats?from=2026-11-20&to=2026-11-19')).status).toBe(
      200,
    );
  });
});

describe('one event', () => {
  it('comes with its payload and attempts', async () => {
    await receive('a');
    await run();
    const { body } = await ada.json('GET', '/api/webhook-events/1');
    expect(body).toMatchObject({
      id: '1',
      status: 'processed',
      attempts: 1,
      payload: { field: 'comments' },
      attemptLog: [{ attempt: 1, outcome: 'processed' }],
    });
  });

  it('is retried when it failed, once for many clicks, with a fresh budget and an audit row', async () => {
    await receive('a');
    await query(`UPDATE webhook_events SET status = 'dead_letter', attempts = 4, last_error = 'x'`);
    await query('UPDATE webhook_event_changes SET dead_letter = 1');
    const token = await ada.csrfToken();
    const click = () =>
      ada.fetch('/api/webhook-events/1/retry', {
        method: 'POST',
        headers: { Accept: 'application/json', 'X-CSRF-Token': token },
      });
    const answers = await Promise.all(Array.from({ length: 20 }, click));
    expect(answers.map(({ status }) => status).sort()).toEqual([
      200,
      ...Array.from({ length: 19 }, () => 409),
    ]);
    expect(await query('SELECT status, attempts FROM webhook_events')).toEqual([
      { status: 'pending', attempts: 0 },
    ]);
    expect(
      await query(`SELECT count(*)::integer AS count FROM audit_log WHERE action = 'event.retried'`),
    ).toEqual([{ count: 1 }]);
    expect((await ada.json('GET', '/api/webhook-events/stats')).body).toMatchObject({
      total: 1,
      deadLetter: 0,
      pending: 1,
    });
  });

  it.each(['pending', 'processing', 'processed'])('is not retried while %s', async (status) => {
    await receive('a');
    await setStatus(status);
    expect((await ada.json('POST', '/api/webhook-events/1/retry')).status).toBe(409);
  });

  it('is deleted when it is finished, and leaves the counts', async () => {
    await receive('a');
    expect((await ada.json('DELETE', '/api/webhook-events/1')).status).toBe(409);
    await run();
    expect((await ada.json('DELETE', '/api/webhook-events/1')).status).toBe(204);
    expect((await ada.json('GET', '/api/webhook-events/1')).status).toBe(404);
    expect((await ada.json('GET', '/api/webhook-events/stats')).body).toMatchObject({
      total: 0,
      processed: 0,
    });
  });

  it('of somebody else does not exist', async () => {
    await receive('a');
    await setStatus('dead_letter');
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/retry'],
      ['DELETE', ''],
    ] as const) {
      expect((await bob.json(method, `/api/webhook-events/1${path}`)).status).toBe(404);
    }
    expect((await bob.get('/events/1')).status).toBe(404);
    expect((await bob.get('/api/webhook-events.csv')).text.split('\r\n')).toHaveLength(2);
    expect(await query('SELECT status FROM webhook_events')).toEqual([{ status: 'dead_letter' }]);
  });

  it.each(['0', 'abc', '1%00', '9'.repeat(40), '-1', '1;drop'])(
    'with the id %s does not exist',
    async (id) => {
      expect((await ada.json('GET', `/api/webhook-events/${id}`)).status).toBe(404);
    },
  );
});

it('the CSV holds no formula', async () => {
  await receive('a');
  await query(
    `UPDATE webhook_events SET status = 'dead_letter', last_error = '=HYPERLINK("http://evil","x")'`,
  );
  const page = await ada.get('/api/webhook-events.csv?status=dead_letter');
  expect(page.headers.get('content-type')).toMatch('text/csv');
  expect(page.text).toContain(`"'=HYPERLINK(""http://evil"",""x"")"`);
});

describe('the pages', () => {
  it('show an event in words, its journey and payload, and let it be retried', async () => {
    await deliver(
      app.url,
      notification(account.igUserId, { changes: [commentItem('x', '<script>alert(1)</script> café')] }),
    );
    await run();
    const list = await ada.get('/events');
    expect(list.text).toContain('lena.demo commented: &lt;script&gt;alert(1)&lt;/script&gt; café');
    await query(`UPDATE webhook_events SET status = 'dead_letter'`);
    const page = await ada.get('/events/1');
    expect(page.text).not.toContain('<script>alert');
    expect(page.text).toContain('Received and stored');
    const after = await ada.post('/events/1/retry');
    expect([after.path, after.status]).toEqual(['/events/1', 200]);
    expect(after.text).toContain('The event is being processed again.');
    expect((await ada.get('/events/1')).text).not.toContain('The event is being processed again.');
  });

  it('do not show the raw bytes of a delivery that carries somebody else’s events too', async () => {
    const other = await makeAccount(
      app.context.pool,
      (await bob.json('GET', '/auth/status')).body.user.id as string,
    );
    const entry = (id: string, comment: string) => ({
      id,
      time: 1,
      changes: [commentItem(comment, `secret of ${comment}`)],
    });
    await deliver(
      app.url,
      JSON.stringify({
        object: 'instagram',
        entry: [entry(account.igUserId, 'ada'), entry(other.igUserId, 'bob')],
      }),
    );
    const [event] = (await ada.json('GET', '/api/webhook-events')).body.events as { id: string }[];
    const page = await ada.get(`/events/${event!.id}`);
    expect(page.text).toContain('secret of ada');
    expect(page.text).not.toContain('secret of bob');
  });

  it('have four faces: nothing yet, no match, events, and a clear error', async () => {
    expect((await ada.get('/events')).text).toContain('No events yet');
    await receive('a');
    expect((await ada.get('/events?status=failed')).text).toContain('No event matches');
    const filtered = await ada.get('/events?status=pending&q=text');
    expect(filtered.text).toContain('href="/events?q=text"');
    const wrong = await ada.get('/events?status=nonsense');
    expect(wrong.status).toBe(400);
    expect(wrong.text).toContain('status must be one of');
  });
});
