import { createHash } from 'node:crypto';
import { Pool } from 'pg';
import { purgeOldRows } from '../../src/jobs/retention';
import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { readQueuePart } from '../../src/models/retention';
import { RETENTION_KINDS, getDue } from '../../src/models/retentionPreview';
import { getEventTotals } from '../../src/models/webhookEventStats';
import { useApp } from '../support/app';
import { makeAccount, makeUser } from '../support/factories';
import { commentItem, deliver, notification } from '../support/webhook';

const app = useApp();
const neverStop = new AbortController().signal;
const purge = () => purgeOldRows(app.context, neverStop);
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;
const count = async (table: string, condition = 'true') =>
  (await query<{ count: number }>(`SELECT count(*)::integer AS count FROM ${table} WHERE ${condition}`))[0]!
    .count;

let owner: { id: string };
let account: { id: string; igUserId: string };

beforeEach(async () => {
  await query(
    `TRUNCATE users, sessions, rate_limits, webhook_deliveries, webhook_events, webhook_event_stats,
       webhook_forgotten_keys RESTART IDENTITY CASCADE`,
  );
  owner = await makeUser(app.context.pool);
  account = await makeAccount(app.context.pool, owner.id);
});

const nothingDone = {
  bodiesEmptied: 0,
  payloadsEmptied: 0,
  eventsDeleted: 0,
  deliveriesDeleted: 0,
  forgottenKeysDeleted: 0,
  sessionsDeleted: 0,
  rateLimitsDeleted: 0,
  refreshAttemptsDeleted: 0,
  stepsLeft: 0,
  oldDeadLetters: 0,
  oldUnfinished: 0,
};

/** A delivery of that age (a PostgreSQL interval); `count` makes so many. @returns their ids, oldest first */
async function makeDeliveries(age: string, count = 1): Promise<string[]> {
  const rows = await query<{ id: string }>(
    `INSERT INTO webhook_deliveries (received_at, body, body_sha256, signed_by, event_count)
     SELECT now() - $1::interval, '{}', sha256('{}'), 'meta', 1
     FROM generate_series(1, $2)
     RETURNING id`,
    [age, count],
  );
  return rows.map(({ id }) => id);
}

/** One event of each delivery, of the delivery's age, with one attempt. @returns their ids */
async function makeEvents(
  deliveries: string[],
  { status = 'processed', userId = owner.id }: { status?: string; userId?: string | null } = {},
): Promise<string[]> {
  const rows = await query<{ id: string }>(
    `WITH made AS (
       INSERT INTO webhook_events (delivery_id, received_at, event_type, dedupe_key, payload, status, user_id)
       SELECT id, received_at, 'comments', gen_random_uuid(), '{}', $2, $3
       FROM webhook_deliveries
       WHERE id = ANY ($1)
       RETURNING id, received_at
     ), logged AS (
       INSERT INTO webhook_event_log (event_id, attempt, worker, started_at, outcome)
       SELECT id, 1, 'test', received_at, 'processed'
       FROM made
     )
     SELECT id FROM made ORDER BY id`,
    [deliveries, status, userId],
  );
  return rows.map(({ id }) => id);
}

const makeEvent = async (age: string, status?: string) => {
  const [deliveryId] = await makeDeliveries(age);
  const [id] = await makeEvents([deliveryId!], status === undefined ? {} : { status });
  return { id: id!, deliveryId: deliveryId! };
};

const stateOf = async ({ id, deliveryId }: { id: string; deliveryId: string }) =>
  (
    await query<{ event: boolean; payload: boolean; delivery: boolean; body: boolean }>(
      `SELECT event.id IS NOT NULL AS event, event.payload IS NOT NULL AS payload,
              delivery.id IS NOT NULL AS delivery, delivery.body IS NOT NULL AS body
       FROM (SELECT) AS one
       LEFT JOIN webhook_events event ON event.id = $1
       LEFT JOIN webhook_deliveries delivery ON delivery.id = $2`,
      [id, deliveryId],
    )
  )[0];
const ALL = { event: true, payload: true, delivery: true, body: true };
const EMPTIED = { event: true, payload: false, delivery: true, body: false };
const GONE = { event: false, payload: false, delivery: false, body: false };

describe('the limits', () => {
  it.each([
    ['younger than a payload is kept', '29 days 23:59', ALL],
    ['older than a payload is kept', '30 days 00:01', EMPTIED],
    ['younger than an event is kept', '89 days 23:59', EMPTIED],
    ['older than an event is kept', '90 days 00:01', GONE],
  ])('just %s', async (_name, age, expected) => {
    const event = await makeEvent(age);
    await purge();
    expect(await stateOf(event)).toEqual(expected);
    expect(await count('webhook_event_log')).toBe(expected.event ? 1 : 0);
    expect(await purge()).toEqual(nothingDone);
  });

  it('come from the settings', async () => {
    const event = await makeEvent('10 days');
    const config = { ...app.context.config, retention: { payloadDays: 9, eventDays: 12 } };
    await purgeOldRows({ ...app.context, config }, neverStop);
    expect(await stateOf(event)).toEqual(EMPTIED);
    await query(`UPDATE webhook_events SET received_at = received_at - interval '3 days'`);
    await query(`UPDATE webhook_deliveries SET received_at = received_at - interval '3 days'`);
    await purgeOldRows({ ...app.context, config }, neverStop);
    expect(await stateOf(event)).toEqual(GONE);
  });

  it('take rows in whatever order they were stored', async () => {
    const young = await makeDeliveries('1 day', 1500);
    await makeEvents(young);
    const old = await makeEvent('100 days');
    await purge();
    expect(await stateOf(old)).toEqual(GONE);
    expect(await count('webhook_events', 'payload IS NOT NULL')).toBe(young.length);
  });
});

describe('what is never removed', () => {
  it.each(['pending', 'processing', 'failed', 'dead_letter'])(
    '%s events: they are counted',
    async (status) => {
      const event = await makeEvent('400 days', status);
      expect(await purge()).toEqual({
        ...nothingDone,
        [status === 'dead_letter' ? 'oldDeadLetters' : 'oldUnfinished']: 1,
      });
      expect(await stateOf(event)).toEqual(ALL);
      expect(await count('webhook_event_log')).toBe(1);
    },
  );

  it('the hash of a body', async () => {
    const { deliveryId } = await makeEvent('40 days');
    await purge();
    expect(
      await query('SELECT body, body_sha256 FROM webhook_deliveries WHERE id = $1', [deliveryId]),
    ).toEqual([{ body: null, body_sha256: createHash('sha256').update('{}').digest() }]);
  });

  it('the audit log', async () => {
    await query(`INSERT INTO audit_log (action, created_at) VALUES ('test', now() - interval '10 years')`);
    await purge();
    expect(await count('audit_log')).toBe(1);
  });
});

describe('a delivery with several people’s events', () => {
  it('keeps its bytes until the last of them is finished', async () => {
    const [deliveryId] = await makeDeliveries('40 days');
    const other = await makeUser(app.context.pool);
    const [mine] = await makeEvents([deliveryId!]);
    const [theirs] = await makeEvents([deliveryId!], { status: 'dead_letter', userId: other.id });
    await makeEvents([deliveryId!], { userId: null });

    expect(await purge()).toMatchObject({ bodiesEmptied: 0, payloadsEmptied: 2 });
    expect(await stateOf({ id: mine!, deliveryId: deliveryId! })).toEqual({ ...EMPTIED, body: true });
    expect(await stateOf({ id: theirs!, deliveryId: deliveryId! })).toEqual(ALL);

    await query(`UPDATE webhook_events SET status = 'processed' WHERE id = $1`, [theirs]);
    expect(await purge()).toMatchObject({ bodiesEmptied: 1, payloadsEmptied: 1 });
    expect(await stateOf({ id: theirs!, deliveryId: deliveryId! })).toEqual(EMPTIED);
  });

  it('stays as long as one event is left', async () => {
    const [deliveryId] = await makeDeliveries('100 days');
    const [done] = await makeEvents([deliveryId!]);
    const [open] = await makeEvents([deliveryId!], { status: 'failed' });
    expect(await purge()).toMatchObject({ eventsDeleted: 1, deliveriesDeleted: 0 });
    expect(await stateOf({ id: done!, deliveryId: deliveryId! })).toEqual({
      ...GONE,
      delivery: true,
      body: true,
    });
    expect(await stateOf({ id: open!, deliveryId: deliveryId! })).toEqual(ALL);
  });

  it('goes when it only repeated known events', async () => {
    await makeDeliveries('40 days');
    expect(await purge()).toMatchObject({ bodiesEmptied: 1, deliveriesDeleted: 0 });
    await query(`UPDATE webhook_deliveries SET received_at = now() - interval '91 days'`);
    expect(await purge()).toMatchObject({ deliveriesDeleted: 1 });
  });
});

/** A comment that came in by the front door and was processed, 100 days ago. */
async function receiveLongAgo(id: string): Promise<string> {
  const body = notification(account.igUserId, { changes: [commentItem(id)] });
  expect((await deliver(app.url, body)).status).toBe(200);
  await processWebhookEvents(app.context, neverStop);
  for (const table of ['webhook_events', 'webhook_deliveries'])
    await query(`UPDATE ${table} SET received_at = received_at - interval '100 days'`);
  return body;
}

describe('after an event is gone', () => {
  it('what it meant and the hourly counts are still there', async () => {
    await receiveLongAgo('c1');
    const totals = () =>
      getEventTotals(
        app.context.pool,
        { userId: owner.id, isOperator: false },
        { from: null, to: null, accountId: null },
      );
    const before = await totals();
    expect(before).toMatchObject({ total: 1, processed: 1 });
    expect(await purge()).toMatchObject({ eventsDeleted: 1, deliveriesDeleted: 1 });
    expect(await query('SELECT external_id, body FROM interactions')).toEqual([
      { external_id: 'c1', body: 'Are you open on Sunday?' },
    ]);
    expect(await totals()).toEqual({ ...before, lastReceived: null });
  });

  it('a repeat of it has no effect', async () => {
    const body = await receiveLongAgo('c1');
    await purge();
    expect((await deliver(app.url, body)).status).toBe(200);
    await processWebhookEvents(app.context, neverStop);
    expect(await count('webhook_events')).toBe(0);
    expect(await count('interactions')).toBe(1);
  });

  it('its key is remembered for 30 days', async () => {
    await receiveLongAgo('c1');
    const [{ dedupe_key }] = (await query<{ dedupe_key: string }>(
      'SELECT dedupe_key FROM webhook_events',
    )) as [{ dedupe_key: string }];
    await purge();
    expect(await query('SELECT dedupe_hash FROM webhook_forgotten_keys')).toEqual([
      { dedupe_hash: createHash('sha256').update(dedupe_key).digest() },
    ]);
    const age = (days: number) =>
      query(`UPDATE webhook_forgotten_keys SET forgotten_at = now() - make_interval(days => $1)`, [days]);
    await age(29);
    expect(await purge()).toEqual(nothingDone);
    await age(31);
    expect(await purge()).toEqual({ ...nothingDone, forgottenKeysDeleted: 1 });
  });
});

describe('rows that somebody holds', () => {
  it('go the next time, and nobody waits for them', async () => {
    const held = await makeEvent('100 days');
    const other = await makeEvent('99 days');
    const holder = await app.context.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT id FROM webhook_events WHERE id = $1 FOR UPDATE', [held.id]);
    expect(await purge()).toMatchObject({ eventsDeleted: 1, stepsLeft: 0 });
    await holder.query('COMMIT');
    holder.release();
    expect(await stateOf(other)).toEqual(GONE);
    expect(await purge()).toMatchObject({ eventsDeleted: 1 });
  });
});

describe('what people see of an event without its payload', () => {
  it('is told apart from one that could not be read', async () => {
    const ada = app.browser();
    const { id: userId } = await ada.register();
    const [expired] = await makeEvents(await makeDeliveries('40 days'), { userId });
    const [unreadable] = await makeEvents(await makeDeliveries('40 days'), { userId, status: 'dead_letter' });
    await query(`UPDATE webhook_events SET payload = NULL, last_error = 'unparseable' WHERE id = $1`, [
      unreadable,
    ]);
    await query(
      `INSERT INTO webhook_event_stats (hour, user_id, event_type, received, processed, dead_letter) VALUES ('-infinity', $1, 'comments', 2, 1, 1)`,
      [userId],
    );
    await purge();

    const page = await ada.get(`/events/${expired}`);
    expect(page.text).toContain('What it said is no longer kept');
    expect(page.text).toContain('No longer kept: payloads are removed after 30 days.');
    expect(page.text).not.toContain('not readable');
    const other = await ada.get(`/events/${unreadable}`);
    expect(other.text).toContain('not readable');
    expect(other.text).not.toContain('no longer kept');
    const list = await ada.get('/events');
    expect(list.text.match(/What it said is no longer kept/g)).toHaveLength(1);
    expect(list.text.match(/Signed by Meta, but not readable/g)).toHaveLength(1);

    const stateOf = async (id: string | undefined) =>
      (await ada.json('GET', `/api/webhook-events/${id}`)).body as object;
    expect(await stateOf(expired)).toMatchObject({ payload: null, payloadState: 'expired' });
    expect(await stateOf(unreadable)).toMatchObject({ payload: null, payloadState: 'unreadable' });
    expect((await ada.get('/api/webhook-events.csv')).text.trim().split('\n')).toHaveLength(3);

    await query('DELETE FROM webhook_events');
    expect((await ada.get('/events')).text).toContain('Events are removed 90 days after they arrived.');
    expect((await ada.get('/events?status=failed')).text).toContain('none fits these filters');
  });
});

/** Rows just older and just younger than their limit, of every small table. */
async function makeSmallRows(): Promise<void> {
  await query(
    `INSERT INTO sessions (sid, sess, expire) VALUES ('old', '{}', now() - interval '1 second'), ('new', '{}', now() + interval '1 minute')`,
  );
  await query(
    `INSERT INTO rate_limits (key, points, expire)
     SELECT key, 1, extract(epoch FROM now() + age) * 1000
     FROM (VALUES ('old', interval '-1 second'), ('new', interval '1 minute')) AS counter (key, age)`,
  );
  await query(`INSERT INTO rate_limits (key, points, expire) VALUES ('lasting', 1, NULL)`);
  await query(
    `INSERT INTO token_refresh_log (meta_account_id, started_at, outcome)
     SELECT meta_account_id, now() - make_interval(days => days), 'unchanged'
     FROM instagram_accounts
     CROSS JOIN unnest(ARRAY[399, 401]) AS days`,
  );
  await query(
    `INSERT INTO webhook_forgotten_keys (dedupe_hash, forgotten_at) VALUES ('\\x01', now() - interval '29 days'), ('\\x02', now() - interval '31 days')`,
  );
}

describe('other rows nobody needs', () => {
  it('go when their time is over', async () => {
    await makeSmallRows();
    expect(await purge()).toEqual({
      ...nothingDone,
      sessionsDeleted: 1,
      rateLimitsDeleted: 1,
      refreshAttemptsDeleted: 1,
      forgottenKeysDeleted: 1,
    });
    expect(await query('SELECT sid FROM sessions')).toEqual([{ sid: 'new' }]);
    expect(await query('SELECT key FROM rate_limits ORDER BY key')).toEqual([
      { key: 'lasting' },
      { key: 'new' },
    ]);
    expect(await purge()).toEqual(nothingDone);
  });
});

describe('a dry run', () => {
  /** Every row of every table that retention touches. */
  const fingerprint = async () => {
    const tables = [
      'webhook_deliveries',
      'webhook_events',
      'webhook_event_log',
      'webhook_event_stats',
      'webhook_forgotten_keys',
      'interactions',
      'sessions',
      'rate_limits',
      'token_refresh_log',
      'job_heartbeats',
    ];
    const hashes = tables.map((table) =>
      query<object>(`SELECT xmin, ctid, md5(entry::text) AS hash FROM ${table} entry ORDER BY ctid`),
    );
    return Promise.all(hashes);
  };

  it('says what a run then does, and changes nothing', async () => {
    await makeSmallRows();
    for (const [age, howMany] of [
      ['29 days', 1],
      ['40 days', 2],
      ['100 days', 3],
    ] as const)
      await makeEvents(await makeDeliveries(age, howMany));
    for (const age of ['40 days', '100 days']) {
      const [shared] = await makeDeliveries(age);
      await makeEvents([shared!]);
      await makeEvents([shared!], { status: 'dead_letter' });
    }
    await makeDeliveries('100 days');
    const before = await fingerprint();

    const { pool, config } = app.context;
    const days = config.retention;
    const part = await readQueuePart(pool, days, '0', 100);
    const due: Record<string, number> = {};
    for (const kind of RETENTION_KINDS) {
      const { rows, oldest } = await getDue(pool, kind, days, part.heldDeliveries);
      due[kind] = rows;
      expect(oldest === null).toBe(rows === 0);
    }
    expect(await fingerprint()).toEqual(before);

    const done = await purge();
    expect(due).toEqual({
      events: done['eventsDeleted'],
      deliveries: done['deliveriesDeleted'],
      bodies: done['bodiesEmptied'],
      payloads: done['payloadsEmptied'],
      forgottenKeys: done['forgottenKeysDeleted'],
      sessions: done['sessionsDeleted'],
      rateLimits: done['rateLimitsDeleted'],
      refreshAttempts: done['refreshAttemptsDeleted'],
    });
    expect(due).toMatchObject({ events: 4, deliveries: 4, bodies: 2, payloads: 3, sessions: 1 });
  });
});

describe('many rows', () => {
  const MANY = 3000;

  /** Whatever was removed is remembered, once each, and nothing is removed in part. */
  const expectWhole = async (left: number) => {
    expect(await count('webhook_events')).toBe(left);
    expect(await count('webhook_event_log')).toBe(left);
    expect(await count('webhook_forgotten_keys')).toBe(MANY - left);
  };

  beforeEach(async () => {
    await makeEvents(await makeDeliveries('100 days', MANY));
  });

  it('a stopped run ends between two batches, and the next one goes on', async () => {
    const stop = new AbortController();
    const { pool } = app.context;
    let statements = 0;
    const stopMidway = () => ++statements === 7 && stop.abort(); // the queue and four small tables come before the events
    pool.on('release', stopMidway);
    const first = await purgeOldRows(app.context, stop.signal);
    pool.off('release', stopMidway);
    expect(first['eventsDeleted']).toBeGreaterThan(0);
    expect(first['eventsDeleted']).toBeLessThan(MANY);
    expect(first['stepsLeft']).toBeGreaterThan(0);
    await expectWhole(MANY - first['eventsDeleted']!);

    expect(await purge()).toMatchObject({
      eventsDeleted: MANY - first['eventsDeleted']!,
      deliveriesDeleted: MANY,
      stepsLeft: 0,
    });
    await expectWhole(0);
  });

  it('a run whose time is over leaves the rest', async () => {
    const summary = await purgeOldRows(app.context, neverStop, 0);
    expect(summary).toMatchObject({ eventsDeleted: 0 });
    expect(summary['stepsLeft']).toBeGreaterThan(0);
    await expectWhole(MANY);
  });

  it('two runs at once share the work', async () => {
    const [one, two] = await Promise.all([purge(), purge()]);
    expect(one['eventsDeleted']! + two['eventsDeleted']!).toBe(MANY);
    expect(one['deliveriesDeleted']! + two['deliveriesDeleted']!).toBeLessThanOrEqual(MANY);
    await expectWhole(0);
    await purge();
    expect(await count('webhook_deliveries')).toBe(0);
  });

  it('a batch that takes too long is tried again smaller', async () => {
    await query(`
      CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN OLD; END $$;
      CREATE TRIGGER be_slow BEFORE DELETE ON webhook_events FOR EACH ROW WHEN (OLD.id <= 50) EXECUTE FUNCTION be_slow()`);
    const { connectionString } = app.context.config.database;
    const impatient = new Pool({ connectionString, statement_timeout: 300 });
    try {
      const summary = await purgeOldRows({ ...app.context, pool: impatient }, neverStop);
      expect(summary).toMatchObject({ eventsDeleted: MANY });
    } finally {
      await impatient.end();
      await query('DROP TRIGGER be_slow ON webhook_events; DROP FUNCTION be_slow');
    }
  });
});
