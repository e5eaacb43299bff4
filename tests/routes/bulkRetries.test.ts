import { stepBulkRetries } from '../../src/jobs/stepBulkRetries';
import { useApp } from '../support/app';
import { type Browser } from '../support/browser';
import { makeAccount } from '../support/factories';
import { commentItem, deliver, notification } from '../support/webhook';

const app = useApp();
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;

let ada: Browser;
let bob: Browser;
let account: { id: string; igUserId: string };

beforeEach(async () => {
  await query(
    'TRUNCATE users, sessions, rate_limits, webhook_deliveries, webhook_events, webhook_event_stats, audit_log RESTART IDENTITY CASCADE',
  );
  ada = app.browser();
  bob = app.browser();
  const { id } = await ada.register();
  await bob.register();
  account = await makeAccount(app.context.pool, id);
});

/** Comments on Ada's account that nobody tries any more. */
async function makeDeadLetters(...ids: string[]): Promise<void> {
  for (const id of ids)
    await deliver(app.url, notification(account.igUserId, { changes: [commentItem(id, `text of ${id}`)] }));
  await query(
    `WITH dead AS (
       UPDATE webhook_events SET status = 'dead_letter', attempts = 4 WHERE status = 'pending'
       RETURNING received_at, user_id, instagram_account_id, event_type
     )
     INSERT INTO webhook_event_changes (hour, user_id, instagram_account_id, event_type, dead_letter)
     SELECT date_trunc('hour', received_at, 'UTC'), user_id, instagram_account_id, event_type, 1
     FROM dead`,
  );
}
const step = (limit?: number) => stepBulkRetries(app.context.pool, limit);
const retry = (body: unknown, browser = ada) => browser.json('POST', '/api/webhook-events/retry', body);
const audit = () => query(`SELECT action, details FROM audit_log WHERE action LIKE 'bulk%' ORDER BY id`);
const rows = async () => (await query('SELECT id FROM bulk_retries')).length;

describe('POST /api/webhook-events/retry', () => {
  it('counts with dryRun and changes nothing', async () => {
    await makeDeadLetters('a', 'b', 'c');
    expect(await retry({ dryRun: true })).toEqual({ status: 200, body: { count: 3 } });
    expect((await retry({ dryRun: true, q: 'text of b' })).body).toEqual({ count: 1 });
    expect((await retry({ dryRun: true, status: ['processed'] })).body).toEqual({ count: 0 });
    expect((await retry({ dryRun: true }, bob)).body).toEqual({ count: 0 });
    expect(await rows()).toBe(0);
  });

  it('starts a job that says how far it is, and is written down', async () => {
    await makeDeadLetters('a', 'b', 'c');
    const { status, body } = await retry({
      status: 'dead_letter,processed',
      eventType: ['comments'],
      from: '2020-01-01',
    });
    expect(status).toBe(202);
    expect(body).toEqual({
      id: '1',
      status: 'running',
      filters: {
        status: ['dead_letter'],
        eventType: ['comments'],
        accountId: [],
        from: '2020-01-01T00:00:00.000Z',
        to: null,
        q: null,
      },
      total: 3,
      queued: 0,
      skipped: 0,
      createdAt: expect.any(String),
      lastStepAt: null,
      finishedAt: null,
      cancelledAt: null,
    });
    await step(2);
    expect((await ada.json('GET', '/api/bulk-retries/1')).body).toMatchObject({
      status: 'running',
      queued: 2,
    });
    await step();
    expect((await ada.json('GET', '/api/bulk-retries')).body).toMatchObject({
      bulkRetries: [{ id: '1', status: 'finished', total: 3, queued: 3 }],
    });
    expect((await ada.json('GET', '/api/webhook-events/stats')).body).toMatchObject({
      pending: 3,
      deadLetter: 0,
    });
    expect(await audit()).toEqual([
      { action: 'bulk_retry.created', details: { total: 3 } },
      { action: 'bulk_retry.finished', details: { total: 3, queued: 3, skipped: 0 } },
    ]);
  });

  it('takes a form as well', async () => {
    await makeDeadLetters('a', 'b');
    const body = new URLSearchParams([
      ['_csrf', await ada.csrfToken()],
      ['status', 'failed'],
      ['status', 'dead_letter'],
      ['dryRun', 'true'],
    ]);
    const answer = await ada.fetch('/api/webhook-events/retry', { method: 'POST', body });
    expect([answer.status, await answer.json()]).toEqual([200, { count: 2 }]);
  });

  it('takes the filters of another one again', async () => {
    await makeDeadLetters('a');
    const { body } = await retry({});
    expect((await retry(body.filters)).status).toBe(202);
  });

  it.each([
    [{ dryRun: 'maybe' }, 'dryRun must be true or false.'],
    [{ statuses: ['failed'] }, 'statuses is not a filter.'],
    [{ status: 'nonsense' }, 'status must be one of'],
    [{ from: 'yesterday' }, 'from must be a time like'],
    [{ accountId: "1'" }, 'accountId must be an id, or none.'],
    [{ q: 'x'.repeat(201) }, 'q must have at most 200 characters.'],
    [['failed'], 'The filters must be fields of an object.'],
  ])('answers 400 to %j and starts nothing', async (body, message) => {
    await makeDeadLetters('a');
    const answer = await retry(body);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toMatchObject({
      code: 'invalid_query',
      message: expect.stringContaining(message),
    });
    expect(await rows()).toBe(0);
  });

  it('answers 409 when nothing matches, or three are running', async () => {
    expect(await retry({})).toMatchObject({ status: 409, body: { error: { code: 'nothing_matches' } } });
    await makeDeadLetters('a');
    for (let running = 0; running < 3; running++) expect((await retry({})).status).toBe(202);
    expect(await retry({})).toMatchObject({
      status: 409,
      body: {
        error: { code: 'too_many_running', message: expect.stringContaining('3 bulk retries running') },
      },
    });
    expect((await ada.json('POST', '/api/bulk-retries/2/cancel')).status).toBe(200);
    await query('TRUNCATE rate_limits');
    expect((await retry({})).status).toBe(202);
  });

  it('answers 429 to the sixth within a minute, and counts all the same', async () => {
    for (let tries = 0; tries < 5; tries++) expect((await retry({})).status).toBe(409);
    const { status, body } = await retry({});
    expect([status, body.error.code]).toEqual([429, 'too_many_requests']);
    expect((await retry({ dryRun: true })).status).toBe(200);
    expect((await retry({}, bob)).status).toBe(409);
  });

  it('asks for a log-in and for the token', async () => {
    await makeDeadLetters('a');
    expect((await retry({}, app.browser())).status).toBe(401);
    expect((await app.browser().json('GET', '/api/bulk-retries')).status).toBe(401);
    const answer = await ada.fetch('/api/webhook-events/retry', { method: 'POST' });
    expect(answer.status).toBe(403);
    expect(await rows()).toBe(0);
  });
});

describe('a bulk retry', () => {
  it('is cancelled once, keeps what was queued, and is written down', async () => {
    await makeDeadLetters('a', 'b', 'c');
    await retry({});
    await step(1);
    expect(await ada.json('POST', '/api/bulk-retries/1/cancel')).toMatchObject({
      status: 200,
      body: { status: 'cancelled', total: 3, queued: 1, cancelledAt: expect.any(String) },
    });
    expect(await ada.json('POST', '/api/bulk-retries/1/cancel')).toMatchObject({
      status: 409,
      body: { error: { code: 'not_running', message: 'This bulk retry is cancelled already.' } },
    });
    expect(await audit()).toEqual([
      { action: 'bulk_retry.created', details: { total: 3 } },
      { action: 'bulk_retry.cancelled', details: { total: 3, queued: 1 } },
    ]);
  });

  it('of somebody else does not exist', async () => {
    await makeDeadLetters('a');
    await retry({});
    expect((await bob.json('GET', '/api/bulk-retries')).body).toEqual({ bulkRetries: [] });
    expect((await bob.json('GET', '/api/bulk-retries/1')).status).toBe(404);
    expect((await bob.json('POST', '/api/bulk-retries/1/cancel')).status).toBe(404);
    expect((await bob.get('/events/retries/1')).status).toBe(404);
    expect((await bob.post('/events/retries/1/cancel')).status).toBe(404);
    expect((await ada.json('GET', '/api/bulk-retries/1')).body.status).toBe('running');
  });

  it.each(['0', 'abc', '9'.repeat(40), '-1'])('with the id %s does not exist', async (id) => {
    expect((await ada.json('GET', `/api/bulk-retries/${id}`)).status).toBe(404);
    expect((await ada.get(`/events/retries/${id}`)).status).toBe(404);
  });
});

describe('the pages, without script', () => {
  it('lead from the filtered list over the count to the result', async () => {
    await makeDeadLetters('a', 'b', 'c');
    const list = await ada.get('/events?status=dead_letter&q=text');
    expect(list.text).toContain('href="/events/retry?status=dead_letter&amp;q=text"');
    expect(list.text).not.toContain('href="/events/retries');

    const confirm = await ada.get('/events/retry?status=dead_letter&q=text');
    expect(confirm.text).toContain('Retry 3 events?');
    expect(confirm.text).toContain('href="/events/retry?q=text"'); // the chip takes its filter off
    expect(confirm.text).toContain('<input type="hidden" name="status" value="dead_letter">');
    expect(await rows()).toBe(0);

    const running = await ada.post('/events/retry', { status: 'dead_letter', q: 'text' });
    expect([running.status, running.path]).toEqual([200, '/events/retries/1']);
    expect(running.text).toContain('0 of 3 events queued again');
    expect(running.text).toContain('max="3" value="0"');
    expect(running.text).toContain('href="/events/retries/1" data-refresh');
    expect((await ada.get('/events')).text).toContain('href="/events/retries/1"');

    await step();
    const finished = await ada.get('/events/retries/1');
    expect(finished.text).toContain('Done: 3 events were queued again.');
    expect(finished.text).toContain('href="/events?q=text"');
    expect(finished.text).not.toContain('/cancel');
    expect((await ada.get('/events/retries')).text).toContain('3 of 3 events queued again');
    expect((await ada.get('/events')).text).toContain('href="/events/retries"');
  });

  it('let it be cancelled, and say so when it is too late', async () => {
    await makeDeadLetters('a', 'b', 'c');
    await ada.post('/events/retry');
    await step(1);
    const cancelled = await ada.post('/events/retries/1/cancel');
    expect([cancelled.status, cancelled.path]).toEqual([200, '/events/retries/1']);
    expect(cancelled.text).toContain('Cancelled after 1 event was queued');
    expect(cancelled.text).toContain('2 events were left as they are.');
    expect((await ada.post('/events/retries/1/cancel')).text).toContain('It is not running any more.');
  });

  it('offer no retry where nothing failed, and start none', async () => {
    expect((await ada.get('/events')).text).not.toContain('/events/retry');
    expect((await ada.get('/events/retries')).text).toContain('No bulk retry yet');
    await makeDeadLetters('a');
    expect((await ada.get('/events')).text).toContain('href="/events/retry"');
    expect((await ada.get('/events?status=processed')).text).not.toContain('/events/retry');
    expect((await ada.get('/events/retry?status=processed')).text).toContain('Nothing to retry');
    const refused = await ada.post('/events/retry', { status: 'processed' });
    expect(refused.path).toBe('/events/retry?status=processed');
    expect(refused.text).toContain('Nothing was started');
    expect(await rows()).toBe(0);
  });

  it('ask for a log-in', async () => {
    expect((await app.browser().get('/events/retry')).path).toBe('/auth/login?next=%2Fevents%2Fretry');
    expect((await app.browser().get('/events/retries/1')).path).toMatch('/auth/login');
  });
});
