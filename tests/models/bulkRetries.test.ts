import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { stepBulkRetries } from '../../src/jobs/stepBulkRetries';
import { transaction } from '../../src/db/query';
import {
  type BulkRetry,
  cancelBulkRetry,
  claimBulkRetry,
  countRetryable,
  createBulkRetry,
  findBulkRetry,
  MAX_TOTAL,
  queueNextEvents,
  recordBulkRetryStep,
} from '../../src/models/bulkRetries';
import { type EventFilters, type EventViewer } from '../../src/models/webhookEvents';
import { useApp } from '../support/app';
import { makeAccount, makeUser } from '../support/factories';

const app = useApp();
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;

const EVERYTHING: EventFilters = { status: [], eventType: [], accountId: [], from: null, to: null, q: null };

let ada: EventViewer;
let account: { id: string; igUserId: string };

beforeEach(async () => {
  await query(
    'TRUNCATE users, interactions, webhook_deliveries, webhook_events, webhook_event_stats, audit_log RESTART IDENTITY CASCADE',
  );
  ada = { userId: (await makeUser(app.context.pool)).id, isOperator: false };
  account = await makeAccount(app.context.pool, ada.userId);
});

interface Made {
  status?: string;
  type?: string;
  owner?: { userId: string; accountId: string } | null;
  nextAttemptIn?: string;
}

/** Events that wait for a person, over three hours of receipt, with their place in the hourly counts. */
async function makeEvents(count: number, made: Made = {}): Promise<void> {
  const owner = made.owner === undefined ? { userId: ada.userId, accountId: account.id } : made.owner;
  await query(
    `WITH event AS (
       INSERT INTO webhook_events (instagram_account_id, user_id, object, entry_id, event_type, dedupe_key, payload, status, attempts,
         next_attempt_at, last_error, received_at)
       SELECT $1, $2, 'instagram', '1', $3, gen_random_uuid(), jsonb_build_object('number', number), $4, 4, now() + $5::interval,
              'processing_failed', now() - number % 3 * interval '1 hour'
       FROM generate_series(1, $6::integer) AS number
       RETURNING event_type, user_id, instagram_account_id, received_at, status
     )
     INSERT INTO webhook_event_changes (hour, user_id, instagram_account_id, event_type, received, processed, dead_letter)
     SELECT date_trunc('hour', received_at, 'UTC'), user_id, instagram_account_id, event_type, 1,
            (status = 'processed')::integer, (status = 'dead_letter')::integer
     FROM event`,
    [
      owner?.accountId ?? null,
      owner?.userId ?? null,
      made.type ?? 'comments',
      made.status ?? 'dead_letter',
      made.nextAttemptIn ?? '-1 second',
      count,
    ],
  );
}

async function create(filters: Partial<EventFilters> = {}, viewer = ada): Promise<BulkRetry> {
  const job = await transaction(app.context.pool, (db) =>
    createBulkRetry(db, viewer, { ...EVERYTHING, ...filters }),
  );
  if (typeof job === 'string') throw new Error(job);
  return job;
}
const step = (limit?: number) => stepBulkRetries(app.context.pool, limit);
const find = ({ id }: BulkRetry) => findBulkRetry(app.context.pool, ada.userId, id);
const count = (filters: Partial<EventFilters> = {}, viewer = ada) =>
  countRetryable(app.context.pool, viewer, { ...EVERYTHING, ...filters });

/** As if processors had worked off what is due. */
const drain = () =>
  query(`UPDATE webhook_events SET status = 'processed', processed_at = now() WHERE status = 'pending'`);

async function idsOf(status: string): Promise<number[]> {
  const rows = await query<{ id: string }>('SELECT id FROM webhook_events WHERE status = $1 ORDER BY id', [
    status,
  ]);
  return rows.map(({ id }) => Number(id));
}
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** The hourly counts of dead letters differ from the events by this many. */
async function miscounted(): Promise<number> {
  const rows = await query(
    `SELECT
     FROM (
       SELECT date_trunc('hour', received_at, 'UTC') AS hour, user_id, instagram_account_id, event_type, count(*) AS dead_letter
       FROM webhook_events
       WHERE status = 'dead_letter'
       GROUP BY 1, 2, 3, 4
     ) event
     FULL JOIN webhook_event_counts stats
       ON stats.hour = event.hour AND stats.event_type = event.event_type
         AND (stats.user_id, stats.instagram_account_id) IS NOT DISTINCT FROM (event.user_id, event.instagram_account_id)
     WHERE coalesce(event.dead_letter, 0) <> coalesce(stats.dead_letter, 0)`,
  );
  return rows.length;
}

describe('what is counted and taken', () => {
  it('is what failed and matches, of the own events', async () => {
    const bob = await makeUser(app.context.pool);
    const other = await makeAccount(app.context.pool, bob.id);
    await makeEvents(3, { type: 'comments' });
    await makeEvents(2, { type: 'messages', status: 'failed' });
    await makeEvents(5, { status: 'processed' });
    await makeEvents(4, { owner: { userId: bob.id, accountId: other.id } });
    await makeEvents(6, { owner: null });
    expect(await count()).toEqual({ count: 5, isMore: false });
    expect(await count({ status: ['dead_letter', 'processed'] })).toMatchObject({ count: 3 });
    expect(await count({ status: ['processed', 'pending'] })).toMatchObject({ count: 0 });
    expect(await count({ accountId: [other.id] })).toMatchObject({ count: 0 });
    expect(await count({ q: '"number": 1' })).toMatchObject({ count: 2 });
    expect(await count({}, { ...ada, isOperator: true })).toMatchObject({ count: 11 });

    const job = await create({ eventType: ['messages'] });
    expect(job).toMatchObject({
      status: 'running',
      total: 2,
      queued: 0,
      filters: { status: ['failed', 'dead_letter'] },
    });
    await step();
    expect(await idsOf('pending')).toEqual([4, 5]);
    expect(await find(job)).toMatchObject({ status: 'finished', total: 2, queued: 2, skipped: 0 });
  });

  it('gets a fresh budget of attempts, and the hourly counts follow', async () => {
    await makeEvents(250);
    await makeEvents(20, { status: 'failed', nextAttemptIn: '1 hour', type: 'messages' });
    const job = await create();
    while ((await find(job))?.status === 'running') {
      await step();
      expect(await miscounted()).toBe(0);
      await drain();
    }
    expect(await find(job)).toMatchObject({ queued: 270, skipped: 0, finishedAt: expect.any(Date) });
    expect(await query('SELECT DISTINCT attempts, last_error FROM webhook_events')).toEqual([
      { attempts: 0, last_error: null },
    ]);
    expect(
      await query(`SELECT action, user_id, details FROM audit_log WHERE action = 'bulk_retry.finished'`),
    ).toEqual([
      { action: 'bulk_retry.finished', user_id: null, details: { total: 270, queued: 270, skipped: 0 } },
    ]);
  });

  it('is not what failed after the creation', async () => {
    await makeEvents(5);
    const job = await create();
    await makeEvents(3);
    // Retried by hand, and dead again.
    await query(
      `INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, outcome) VALUES (2, 1, 'test', now(), 'dead_letter')`,
    );
    await query('DELETE FROM webhook_events WHERE id = 4');
    await step();
    expect(await idsOf('pending')).toEqual([1, 3, 5]);
    expect(await find(job)).toMatchObject({ status: 'finished', total: 5, queued: 3, skipped: 2 });
  });

  it('is nobody’s events only while the person is an operator', async () => {
    await query(`UPDATE users SET role = 'operator'`);
    await makeEvents(4, { owner: null });
    const operator = { ...ada, isOperator: true };
    const job = await create({}, operator);
    expect(await step(2)).toBe(2);
    expect(await miscounted()).toBe(0);
    await query(`UPDATE users SET role = 'user'`);
    expect(await step()).toBe(0);
    expect(await find(job)).toMatchObject({ status: 'finished', queued: 2, skipped: 2 });
  });

  it(`is ${MAX_TOTAL} events at most, and says that there are more`, async () => {
    for (let made = 0; made < MAX_TOTAL; made += 10_000) await makeEvents(10_000);
    expect(await count()).toEqual({ count: MAX_TOTAL, isMore: false });
    await makeEvents(1);
    expect(await count()).toEqual({ count: MAX_TOTAL, isMore: true });
    const job = await create();
    expect(job.total).toBe(MAX_TOTAL);
    await query('UPDATE bulk_retries SET cursor_event_id = $1', [MAX_TOTAL - 1]);
    await step();
    expect(await idsOf('pending')).toEqual([MAX_TOTAL]);
  });
});

describe('a step', () => {
  it('takes a hundred, and goes on where the one before ended', async () => {
    await makeEvents(150);
    const job = await create();
    expect(await step()).toBe(100);
    expect(await find(job)).toMatchObject({ status: 'running', queued: 100, skipped: 0 });
    expect(await idsOf('pending')).toEqual(numbers(1, 100));
    await drain();
    expect(await step()).toBe(50);
    expect(await find(job)).toMatchObject({ status: 'finished', queued: 150 });
    expect(await step()).toBe(0);
  });

  it('is not made while two hundred events are due', async () => {
    await makeEvents(150);
    await create();
    await makeEvents(200, { status: 'pending', type: 'messages' });
    expect(await step()).toBe(0);
    await query(`DELETE FROM webhook_events WHERE id = (SELECT max(id) FROM webhook_events)`);
    expect(await step()).toBe(100);
    expect(await step()).toBe(0);
  });

  it('does not wait for events whose next attempt is later', async () => {
    await makeEvents(300, { status: 'failed', nextAttemptIn: '1 hour' });
    await create();
    expect(await step()).toBe(100);
  });

  it('serves the bulk retries in turn', async () => {
    await makeEvents(40, { type: 'comments' });
    await makeEvents(40, { type: 'messages' });
    const first = await create({ eventType: ['comments'] });
    const second = await create({ eventType: ['messages'] });
    for (let turn = 0; turn < 4; turn++) await step(10);
    expect([(await find(first))?.queued, (await find(second))?.queued]).toEqual([20, 20]);
  });

  it('is for another bulk retry while a process has the one whose turn it is', async () => {
    await makeEvents(40);
    const [first, second] = [await create(), await create()];
    await transaction(app.context.pool, async (db) => {
      expect(await claimBulkRetry(db, 200)).toMatchObject({ id: first.id });
      expect(await step(10)).toBe(10);
    });
    expect([(await find(first))?.queued, (await find(second))?.queued]).toEqual([0, 10]);
  });

  it('looks at a bounded number of events when the filter matches next to nothing', async () => {
    await makeEvents(2_500);
    await query(`UPDATE webhook_events SET payload = '{"word":"needle"}' WHERE id = 2400`);
    const job = await create({ q: 'needle' });
    expect(job.total).toBe(1);
    expect([await step(), await step(), await step()]).toEqual([0, 0, 1]);
    expect(await find(job)).toMatchObject({ status: 'finished', queued: 1 });
  });

  it('queues no event twice, however many are made at the same time', async () => {
    await query(`
      CREATE TABLE queued (event_id bigint);
      CREATE FUNCTION note_queued() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO queued VALUES (NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER note_queued AFTER UPDATE ON webhook_events FOR EACH ROW WHEN (OLD.status = 'dead_letter' AND NEW.status = 'pending')
      EXECUTE FUNCTION note_queued()`);
    await makeEvents(190);
    const jobs = [await create(), await create(), await create()];
    for (let round = 0; round < 40; round++) await Promise.all([step(5), step(5), step(5), step(5)]);
    const found = await Promise.all(jobs.map(find));
    expect(found.map((job) => job?.status)).toEqual(['finished', 'finished', 'finished']);
    expect(found.reduce((sum, job) => sum + job!.queued, 0)).toBe(190);
    expect(
      await query(
        'SELECT count(*)::integer AS all, count(DISTINCT event_id)::integer AS distinct FROM queued',
      ),
    ).toEqual([{ all: 190, distinct: 190 }]);
    expect(await miscounted()).toBe(0);
    await query('DROP TRIGGER note_queued ON webhook_events; DROP FUNCTION note_queued; DROP TABLE queued');
  });

  it('passes over an event that somebody holds', async () => {
    await makeEvents(3);
    const job = await create();
    await transaction(app.context.pool, async (db) => {
      await db.query('SELECT FROM webhook_events WHERE id = 2 FOR UPDATE');
      await step();
    });
    expect(await idsOf('pending')).toEqual([1, 3]);
    expect(await find(job)).toMatchObject({ status: 'finished', queued: 2, skipped: 1 });
  });

  it('that dies in the middle leaves everything for the next', async () => {
    await makeEvents(30);
    const job = await create();
    await step(10);
    await expect(
      transaction(app.context.pool, async (db) => {
        const claimed = await claimBulkRetry(db, 200);
        const done = await queueNextEvents(db, claimed!, 10);
        await recordBulkRetryStep(db, claimed!.id, done);
        throw new Error('killed');
      }),
    ).rejects.toThrow('killed');
    expect(await find(job)).toMatchObject({ status: 'running', queued: 10 });
    expect(await idsOf('pending')).toEqual(numbers(1, 10));
    while ((await find(job))?.status === 'running') await step(10);
    expect(await find(job)).toMatchObject({ queued: 30, skipped: 0 });
    expect(await idsOf('pending')).toEqual(numbers(1, 30));
  });
});

describe('cancelling', () => {
  it('keeps what was queued, leaves the rest, and happens once', async () => {
    await makeEvents(30);
    const job = await create();
    await step(10);
    const cancel = () => cancelBulkRetry(app.context.pool, ada.userId, job.id);
    const answers = await Promise.all([cancel(), cancel(), cancel()]);
    expect(answers.filter((answer) => answer !== null)).toMatchObject([
      { status: 'cancelled', queued: 10, cancelledAt: expect.any(Date) },
    ]);
    expect(await step()).toBe(0);
    expect(await idsOf('pending')).toEqual(numbers(1, 10));
    expect(await idsOf('dead_letter')).toEqual(numbers(11, 30));
    expect(await miscounted()).toBe(0);
  });

  it('waits for a step in progress, after which nothing more is queued', async () => {
    await makeEvents(30);
    const job = await create();
    const { pool } = app.context;
    let cancelled: Promise<BulkRetry | null> | undefined;
    await transaction(pool, async (db) => {
      const claimed = await claimBulkRetry(db, 200);
      cancelled = cancelBulkRetry(pool, ada.userId, job.id);
      const isTold = async () =>
        (await find(job))?.status === 'cancelled' ||
        (await query('SELECT FROM pg_locks WHERE NOT granted')).length > 0;
      while (!(await isTold()));
      await recordBulkRetryStep(db, job.id, await queueNextEvents(db, claimed!, 10));
    });
    expect(await cancelled).toMatchObject({ status: 'cancelled', queued: 10 });
    expect(await step()).toBe(0);
    expect(await idsOf('pending')).toEqual(numbers(1, 10));
  });
});

describe('at the same time', () => {
  it('a person has three running, also when many are asked for at once', async () => {
    await makeEvents(1);
    const ask = () =>
      transaction(app.context.pool, (db) => createBulkRetry(db, ada, EVERYTHING)).then((job) =>
        typeof job === 'string' ? job : job.status,
      );
    const answers = await Promise.all(Array.from({ length: 6 }, ask));
    expect(answers.sort()).toEqual([
      'running',
      'running',
      'running',
      'too_many_running',
      'too_many_running',
      'too_many_running',
    ]);
  });
});

it('the processor makes the steps and processes what they queue', async () => {
  await makeEvents(5, { type: 'brand_new' });
  const job = await create();
  expect(await processWebhookEvents(app.context, new AbortController().signal)).toMatchObject({ ignored: 5 });
  expect(await find(job)).toMatchObject({ status: 'finished', queued: 5 });
  expect(await idsOf('processed')).toEqual(numbers(1, 5));
});
