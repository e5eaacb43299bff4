import { randomUUID } from 'node:crypto';
import { openWakeBell } from '../../src/jobs/wakeBell';
import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { lockInstagramAccount } from '../../src/models/instagramAccounts';
import { matchWaitingEvents } from '../../src/models/webhookEvents';
import {
  claimEvents,
  failAttempt,
  finishEvents,
  handBack,
  type Lease,
  rescueEvents,
  startAttempt,
} from '../../src/models/webhookQueue';
import { getEventTotals } from '../../src/models/webhookEventStats';
import { useApp } from '../support/app';
import { makeAccount, makeUser } from '../support/factories';
import { commentItem, deliver, messageItem, notification } from '../support/webhook';

const app = useApp();
const neverStop = new AbortController().signal;
const run = () => processWebhookEvents(app.context, neverStop);
const lease = (seconds = 60): Lease => ({ token: randomUUID(), worker: 'test', seconds });
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;

let owner: { id: string };
let account: { id: string; igUserId: string };

beforeEach(async () => {
  await query(
    'TRUNCATE users, interactions, webhook_deliveries, webhook_events, webhook_event_stats RESTART IDENTITY CASCADE',
  );
  owner = await makeUser(app.context.pool);
  account = await makeAccount(app.context.pool, owner.id);
});

const send = (item: object) =>
  deliver(
    app.url,
    notification(account.igUserId, 'sender' in item ? { messaging: [item] } : { changes: [item] }),
  );
const statuses = () =>
  query<{ status: string; attempts: number }>('SELECT status, attempts FROM webhook_events ORDER BY id');

/** Makes the handler of one comment fail, as a defect or a database error would. */
async function breakComment(id: string): Promise<void> {
  await query(`
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken access_token=EAAsecret123'; END $$;
    DROP TRIGGER IF EXISTS refuse ON interactions;
    CREATE TRIGGER refuse BEFORE INSERT ON interactions FOR EACH ROW WHEN (NEW.external_id = '${id}') EXECUTE FUNCTION refuse()`);
}
const mend = () => query('DROP TRIGGER IF EXISTS refuse ON interactions');
afterEach(mend);

describe('processing', () => {
  it('turns a comment into something to read, and logs the attempt', async () => {
    await send(commentItem('c1', 'Fin–t! 😀'));
    expect(await run()).toMatchObject({ processed: 1 });
    expect(await query('SELECT kind, direction, author_username, body, thread_id FROM interactions')).toEqual(
      [
        {
          kind: 'comment',
          direction: 'in',
          author_username: 'lena.demo',
          body: 'Fin–t! 😀',
          thread_id: '17955501234567001',
        },
      ],
    );
    expect(await query('SELECT attempt, outcome, error_code FROM webhook_event_log')).toEqual([
      { attempt: 1, outcome: 'processed', error_code: null },
    ]);
    expect(
      await getEventTotals(
        app.context.pool,
        { userId: owner.id, isOperator: false },
        { from: null, to: null, accountId: null },
      ),
    ).toMatchObject({ total: 1, processed: 1, pending: 0 });
  });

  it('does not call own comments and echoes a customer', async () => {
    const own = { id: 'own', from: { id: account.igUserId }, media: { id: '17' }, text: 'Thanks!' };
    await send({ field: 'comments', value: own });
    await send({
      sender: { id: account.igUserId },
      recipient: { id: '120' },
      timestamp: 1795000011000,
      message: { mid: 'e', text: 'We do!', is_echo: true },
    });
    await run();
    expect(
      await query('SELECT external_id, direction, thread_id FROM interactions ORDER BY external_id'),
    ).toEqual([
      { external_id: 'e', direction: 'out', thread_id: '120' },
      { external_id: 'own', direction: 'out', thread_id: '17' },
    ]);
  });

  it('keeps an unknown field as it came and calls it done', async () => {
    await send({ field: 'brand_new', value: { a: 1 } });
    expect(await run()).toMatchObject({ ignored: 1 });
    expect(await query('SELECT event_type, status, payload FROM webhook_events')).toEqual([
      { event_type: 'brand_new', status: 'processed', payload: { field: 'brand_new', value: { a: 1 } } },
    ]);
  });

  it('ends the same in whatever order the events are processed', async () => {
    const base = { sender: { id: '12' }, recipient: { id: account.igUserId } };
    const at = (seconds: number) => 1795000000000 + seconds * 1000;
    const items = [
      { ...base, timestamp: at(1), message: { mid: 'kept', text: 'first' } },
      { ...base, timestamp: at(2), message_edit: { mid: 'kept', text: 'second', num_edit: 1 } },
      { ...base, timestamp: at(3), message_edit: { mid: 'kept', text: 'third', num_edit: 2 } },
      {
        ...base,
        timestamp: at(4),
        message: { mid: 'gone', text: 'oops', attachments: [{ type: 'image', payload: {} }] },
      },
      { ...base, timestamp: at(5), message: { mid: 'gone', is_deleted: true } },
      {
        ...base,
        timestamp: at(6),
        reaction: { mid: 'kept', action: 'react', reaction: 'love', emoji: '❤️' },
      },
      { ...base, timestamp: at(7), reaction: { mid: 'kept', action: 'unreact' } },
      { ...base, timestamp: at(8), reaction: { mid: 'kept', action: 'react', reaction: 'wow', emoji: '😮' } },
    ];
    const results = new Set<string>();
    for (let order = 0; order < 10; order++) {
      await query('TRUNCATE webhook_events, interactions CASCADE');
      const shuffled = items
        .map((item, index) => ({ item, key: Math.sin((order + 1) * (index + 7) * 12.9898) }))
        .sort((left, right) => left.key - right.key);
      for (const { item } of shuffled) {
        await send(item);
        await run();
      }
      const rows = await query(
        'SELECT kind, external_id, body, attachments, edit_number, deleted_at, occurred_at FROM interactions ORDER BY kind, external_id',
      );
      results.add(JSON.stringify(rows));
    }
    expect([...results]).toHaveLength(1);
    const [result] = [...results].map((text) => JSON.parse(text) as { body: string | null }[]);
    expect(result?.map(({ body }) => body)).toEqual([null, 'third', '😮']);
  });

  it('gives an event that came during connecting to the account once it is connected', async () => {
    const igUserId = '17841400000000777';
    await deliver(app.url, notification(igUserId, { changes: [commentItem('early')] }));
    await run();
    const late = await makeAccount(app.context.pool, owner.id, { igUserId });
    expect(await matchWaitingEvents(app.context.pool, { id: late.id, userId: owner.id, igUserId })).toBe(1);
    await run();
    expect(await query('SELECT external_id FROM interactions')).toEqual([{ external_id: 'early' }]);
    expect(await query('SELECT user_id, processed FROM webhook_event_counts WHERE processed > 0')).toEqual([
      { user_id: owner.id, processed: 1 },
    ]);
  });

  it('waits for a connect that is being written, and then finds its owner', async () => {
    const igUserId = '17841400000000779';
    await deliver(app.url, notification(igUserId, { changes: [commentItem('midway')] }));
    const connecting = await app.context.pool.connect();
    await connecting.query('BEGIN');
    await lockInstagramAccount(connecting, igUserId);
    await makeAccount(connecting, owner.id, { igUserId });
    const running = run();
    await connecting.query('COMMIT');
    connecting.release();
    expect(await running).toMatchObject({ processed: 1 });
  });

  it('finds the owner itself when the event was stored while the account was being written', async () => {
    const igUserId = '17841400000000778';
    await deliver(app.url, notification(igUserId, { changes: [commentItem('raced')] }));
    await makeAccount(app.context.pool, owner.id, { igUserId });
    expect(await run()).toMatchObject({ processed: 1 });
  });
});

describe('a failing event', () => {
  it('is tried four times, after 1, 5 and 30 seconds, and then is a dead letter', async () => {
    await breakComment('bad');
    await send(commentItem('bad'));
    const delays: number[] = [];
    for (let attempt = 1; attempt <= 4; attempt++) {
      const summary = await run();
      const [event] = await query<{ delay: number; status: string; attempts: number }>(
        `SELECT extract(epoch FROM next_attempt_at - now())::double precision AS delay, status, attempts FROM webhook_events`,
      );
      expect(summary).toMatchObject(
        attempt < 4 ? { retrying: 1, deadLettered: 0 } : { retrying: 0, deadLettered: 1 },
      );
      expect(event).toMatchObject({ attempts: attempt, status: attempt < 4 ? 'failed' : 'dead_letter' });
      delays.push(event!.delay);
      await query(`UPDATE webhook_events SET next_attempt_at = now() WHERE status = 'failed'`);
    }
    for (const [index, seconds] of [1, 5, 30].entries()) {
      expect(delays[index]).toBeGreaterThan(seconds - 1);
      expect(delays[index]).toBeLessThanOrEqual(seconds * 1.1);
    }
    expect(await run()).toMatchObject({ processed: 0, retrying: 0 });
    expect(
      (await query<{ outcome: string }>('SELECT outcome FROM webhook_event_log ORDER BY id')).map(
        ({ outcome }) => outcome,
      ),
    ).toEqual(['failed', 'failed', 'failed', 'dead_letter']);
    const [{ error_message: message } = { error_message: '' }] = await query<{ error_message: string }>(
      'SELECT error_message FROM webhook_event_log LIMIT 1',
    );
    expect(message).toContain('broken');
    expect(message).not.toContain('EAAsecret123');
    expect(await query('SELECT dead_letter FROM webhook_event_counts')).toEqual([{ dead_letter: 1 }]);
  });

  it('does not hold up its neighbours, and leaves nothing behind', async () => {
    await breakComment('bad');
    for (const id of ['a', 'bad', 'b']) await send(commentItem(id));
    expect(await run()).toMatchObject({ processed: 2, retrying: 1 });
    expect(await query('SELECT external_id FROM interactions ORDER BY external_id')).toEqual([
      { external_id: 'a' },
      { external_id: 'b' },
    ]);
  });
});

it('an event whose own statement always times out is charged for it, and its neighbours are not', async () => {
  await query(`
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'slow' USING ERRCODE = '57014'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON interactions FOR EACH ROW WHEN (NEW.external_id = 'slow') EXECUTE FUNCTION refuse()`);
  for (const id of ['a', 'slow', 'b']) await send(commentItem(id));
  expect(await run()).toMatchObject({ processed: 2, retrying: 1 });
  for (let attempt = 2; attempt <= 4; attempt++) {
    await query(`UPDATE webhook_events SET next_attempt_at = now() WHERE status = 'failed'`);
    await run();
  }
  expect(await statuses()).toEqual([
    { status: 'processed', attempts: 1 },
    { status: 'dead_letter', attempts: 4 },
    { status: 'processed', attempts: 1 },
  ]);
});

it('an attempt that the database could not serve is not charged to the event', async () => {
  await send(commentItem('c'));
  await query(`
    CREATE OR REPLACE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
    CREATE TRIGGER cut BEFORE INSERT ON interactions FOR EACH ROW EXECUTE FUNCTION cut()`);
  await run();
  await query('DROP TRIGGER cut ON interactions');
  expect(await statuses()).toEqual([{ status: 'pending', attempts: 0 }]);
  expect(await run()).toMatchObject({ processed: 1 });
});

describe('the lease', () => {
  const claim = (held: Lease, limit: number) =>
    claimEvents(app.context.pool, held, { lane: 'direct', limit, after: '-1' });
  const letLeasesEnd = async () => {
    await query(`UPDATE webhook_events SET lease_until = now() - interval '1 second'`);
    await rescueEvents(app.context.pool);
  };

  it('gives each event to one of many claimants', async () => {
    for (let index = 0; index < 4; index++) {
      const messages = Array.from({ length: 50 }, (_value, item) =>
        messageItem(`m-${index}-${item}`, account.igUserId),
      );
      await deliver(app.url, notification(account.igUserId, { messaging: messages }));
    }
    const claims = await Promise.all(Array.from({ length: 30 }, () => claim(lease(), 10)));
    const ids = claims.flat().map(({ id }) => id);
    expect(ids).toHaveLength(200);
    expect(new Set(ids).size).toBe(200);
  });

  it('fences a worker that slept past it', async () => {
    await send(commentItem('c'));
    const old = lease();
    const [event] = await claim(old, 1);
    await letLeasesEnd();
    const young = lease();
    expect(await claim(young, 1)).toHaveLength(1);
    const end = { eventId: event!.id, outcome: 'ignored' as const, effect: null };
    expect(await finishEvents(app.context.pool, old, event!.startedAt!, [end])).toEqual([]);
    const failure = {
      eventId: event!.id,
      startedAt: new Date(),
      outcome: 'failed' as const,
      errorCode: 'x',
      errorMessage: '',
      retryAfterSeconds: null,
    };
    expect(await failAttempt(app.context.pool, old, failure)).toBeNull();
    expect(await startAttempt(app.context.pool, event!.id, old)).toBeNull();
    expect(await statuses()).toEqual([{ status: 'processing', attempts: 1 }]);
  });

  it('serves accounts in turn, whatever one of them has waiting', async () => {
    const others = await Promise.all([1, 2, 3].map(() => makeAccount(app.context.pool, owner.id)));
    const flood = Array.from({ length: 50 }, (_value, index) =>
      messageItem(`flood-${index}`, account.igUserId),
    );
    await deliver(app.url, notification(account.igUserId, { messaging: flood }));
    for (const { igUserId } of others)
      await deliver(app.url, notification(igUserId, { changes: [commentItem(`quiet-${igUserId}`)] }));
    const first = await claim(lease(), 8);
    expect(new Set(first.map(({ instagramAccountId }) => instagramAccountId)).size).toBe(4);
    expect(first).toHaveLength(5); // two of the flood, and all that the quiet ones have
  });

  it('takes few events of one account where Meta is asked, and none where enough are in hand', async () => {
    const quiet = await makeAccount(app.context.pool, owner.id);
    const mention = (id: string) => ({ field: 'mentions', value: { media_id: id } });
    const many = Array.from({ length: 10 }, (_value, index) => mention(`1790000000000000${index}`));
    await deliver(app.url, notification(account.igUserId, { changes: many }));
    await deliver(app.url, notification(quiet.igUserId, { changes: [mention('17900000000000099')] }));
    const request = { lane: 'graph', limit: 16, after: '-1', most: 2 } as const;
    const first = await claimEvents(app.context.pool, lease(), request);
    expect(first.map(({ instagramAccountId }) => instagramAccountId).sort()).toEqual(
      [account.id, account.id, quiet.id].sort(),
    );
    const second = await claimEvents(app.context.pool, lease(), { ...request, except: [account.id] });
    expect(second).toEqual([]);
  });

  it('tries events alone that lost their worker together, and clears those that did not kill it', async () => {
    for (const id of ['a', 'b']) await send(commentItem(id));
    expect((await claim(lease(), 2)).map(({ startedAt }) => startedAt === null)).toEqual([false, false]);
    await letLeasesEnd();
    expect(await statuses()).toEqual([
      { status: 'failed', attempts: 1 },
      { status: 'failed', attempts: 1 },
    ]);
    const alone = lease();
    const events = await claim(alone, 2);
    expect(events.map(({ startedAt }) => startedAt)).toEqual([null, null]);
    const attempt = await startAttempt(app.context.pool, events[0]!.id, alone);
    const failure = {
      eventId: events[0]!.id,
      startedAt: attempt!.startedAt,
      outcome: 'failed' as const,
      errorCode: 'x',
      errorMessage: '',
      retryAfterSeconds: null,
    };
    expect(await failAttempt(app.context.pool, alone, failure)).toBe('failed');
    await letLeasesEnd();
    // The death was not its fault: three more tries, as after a first failure.
    for (const expected of ['failed', 'failed', 'dead_letter']) {
      await query(`UPDATE webhook_events SET next_attempt_at = now() WHERE status = 'failed'`);
      const next = lease();
      await claim(next, 2);
      const again = await startAttempt(app.context.pool, events[0]!.id, next);
      expect(await failAttempt(app.context.pool, next, { ...failure, startedAt: again!.startedAt })).toBe(
        expected,
      );
      await handBack(app.context.pool, next, [events[1]!.id]);
    }
    expect(await statuses()).toEqual([
      { status: 'dead_letter', attempts: 5 },
      { status: 'failed', attempts: 1 },
    ]);
  });

  it('makes a dead letter of an event that killed its worker four times', async () => {
    await send(commentItem('killer'));
    for (let death = 1; death <= 4; death++) {
      const dying = lease();
      const [event] = await claim(dying, 1);
      if (event!.startedAt === null) await startAttempt(app.context.pool, event!.id, dying);
      await letLeasesEnd();
    }
    expect(await query('SELECT status, attempts, last_error FROM webhook_events')).toEqual([
      { status: 'dead_letter', attempts: 4, last_error: 'worker_died' },
    ]);
    expect(await query('SELECT attempt, outcome FROM webhook_event_log ORDER BY id')).toHaveLength(4);
  });

  it('is handed back with the attempt that was charged', async () => {
    await send(commentItem('c'));
    const own = lease();
    const [event] = await claim(own, 1);
    await handBack(app.context.pool, own, [event!.id]);
    expect(await statuses()).toEqual([{ status: 'pending', attempts: 0 }]);
  });

  it('is not taken when the job is stopped before it begins', async () => {
    await send(commentItem('c'));
    await processWebhookEvents(app.context, AbortSignal.abort());
    expect(await statuses()).toEqual([{ status: 'pending', attempts: 0 }]);
  });
});

it('a sleeping processor is woken by what is stored', async () => {
  const bell = await openWakeBell(app.context.config.database);
  const woken = bell.wait(bell.rings, 60_000, neverStop);
  await send(commentItem('soon'));
  await woken;
  await bell.close();
});
