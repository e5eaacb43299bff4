import { createHash } from 'node:crypto';
import { BODY_BYTES_KEPT, createRejectionLog, type Rejection } from '../../src/intake/rejectionLog';
import { KEPT_PER_MINUTE } from '../../src/intake/sampledLog';
import {
  BODY_BYTES_KEPT_IN_ALL,
  CHECKABLE_KEPT,
  countRejections,
  listCheckableRejections,
  OTHERS_KEPT,
  trimRejections,
} from '../../src/models/webhookRejections';
import { logger } from '../../src/utils/logger';
import { useDatabase } from '../support/database';
import { sign } from '../support/webhook';

const { pool } = useDatabase();

beforeAll(() => {
  logger.silent = true;
});
beforeEach(async () => {
  await pool.query('TRUNCATE webhook_rejections, webhook_rejection_stats RESTART IDENTITY');
});

function rejection(values: Partial<Rejection> = {}): Rejection {
  const body = values.body === undefined ? Buffer.from('{}') : values.body;
  return {
    reason: 'wrong_signature',
    method: 'POST',
    ip: '203.0.113.9',
    userAgent: 'facebookexternalua',
    contentType: 'application/json',
    contentLength: undefined,
    signature: sign(body ?? '', 'another-secret'),
    ...values,
    body,
  };
}

async function one<T>(sql: string): Promise<T> {
  const { rows } = await pool.query<{ value: T }>(sql);
  return rows[0]!.value;
}
const keptRows = () => one<number>('SELECT count(*)::integer AS value FROM webhook_rejections');

/** So that a test does not straddle two minutes. */
async function withinOneMinute(): Promise<void> {
  const left = 60_000 - (Date.now() % 60_000);
  if (left < 5_000) await new Promise((resolve) => setTimeout(resolve, left));
}

describe('the log of rejected requests', () => {
  it('keeps the first of a kind in a minute and counts a flood of 5,000', async () => {
    await withinOneMinute();
    const log = createRejectionLog(pool);
    for (let index = 0; index < 5_000; index++) {
      log.note(rejection());
      if (index % 1_000 === 0) await log.flush();
    }
    log.note(rejection({ reason: 'missing_signature', signature: undefined, body: null }));
    await log.close();
    expect(await keptRows()).toBe(KEPT_PER_MINUTE + 1);
    expect(await countRejections(pool)).toEqual([
      { reason: 'wrong_signature', count: 5_000 },
      { reason: 'missing_signature', count: 1 },
    ]);
  });

  it('keeps what came, bounded, and of a misspelled signature only the beginning', async () => {
    const log = createRejectionLog(pool);
    const body = Buffer.alloc(BODY_BYTES_KEPT + 1, 'x');
    log.note(rejection({ body, userAgent: 'u'.repeat(5_000), contentType: 'c'.repeat(5_000) }));
    log.note(
      rejection({ reason: 'malformed_signature', signature: `${sign('{}')}zz`, body: null, method: 'POST' }),
    );
    log.note(rejection({ reason: 'too_large', body: null, contentLength: '999999999' }));
    await log.close();
    const { rows } = await pool.query(
      `SELECT length(user_agent) AS agent, length(content_type) AS type, octet_length(body) AS kept, body_size, body_sha256, signature
       FROM webhook_rejections
       ORDER BY id`,
    );
    expect(rows).toMatchObject([
      {
        agent: 200,
        type: 200,
        kept: BODY_BYTES_KEPT,
        body_size: String(BODY_BYTES_KEPT + 1),
        body_sha256: createHash('sha256').update(body).digest(),
        signature: sign(body, 'another-secret'),
      },
      { kept: null, body_size: null, signature: `${sign('{}').slice(0, 12)}…` },
      { kept: null, body_size: '999999999' },
    ]);
    expect(await listCheckableRejections(pool, '0', 10)).toEqual([]);
  });

  it('drops rows and keeps the count while the database does not take them', async () => {
    const log = createRejectionLog(pool);
    await pool.query('ALTER TABLE webhook_rejections RENAME TO away');
    log.note(rejection());
    log.note(rejection());
    await log.flush();
    await pool.query('ALTER TABLE away RENAME TO webhook_rejections');
    log.note(rejection());
    await log.close();
    expect(await keptRows()).toBe(1);
    expect(await countRejections(pool)).toEqual([{ reason: 'wrong_signature', count: 3 }]);
  });

  it('writes by itself, and nothing after it was closed', async () => {
    const log = createRejectionLog(pool);
    log.note(rejection());
    while ((await keptRows()) === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    await log.close();
    log.note(rejection());
    await log.flush();
    expect(await keptRows()).toBe(1);
  });
});

describe('trimRejections', () => {
  const insert = (count: number, reason: string, bytes: number, receivedAt = 'now()') =>
    pool.query(
      `INSERT INTO webhook_rejections (received_at, reason, method, body, body_size)
       SELECT ${receivedAt}, '${reason}', 'POST', decode(repeat('00', ${bytes}), 'hex'), ${bytes}
       FROM generate_series(1, ${count})`,
    );
  const keptOf = (reason: string) =>
    one<number>(`SELECT count(*)::integer AS value FROM webhook_rejections WHERE reason = '${reason}'`);

  it('keeps the newest of each reason, so that noise does not push out what can be checked', async () => {
    await insert(3, 'wrong_signature', 10);
    await insert(CHECKABLE_KEPT, 'missing_signature', 0);
    await trimRejections(pool);
    expect([await keptOf('wrong_signature'), await keptOf('missing_signature')]).toEqual([3, OTHERS_KEPT]);
    await insert(CHECKABLE_KEPT, 'wrong_signature', 10);
    await trimRejections(pool);
    expect(await keptOf('wrong_signature')).toBe(CHECKABLE_KEPT);
    expect(await one('SELECT min(id)::integer AS value FROM webhook_rejections')).toBeGreaterThan(3);
  });

  it('keeps no more bytes than it may', async () => {
    const size = 4 * 1024 * 1024;
    await insert(20, 'wrong_signature', size);
    await trimRejections(pool);
    expect(await keptOf('wrong_signature')).toBe(BODY_BYTES_KEPT_IN_ALL / size);
  });

  it('forgets what is a month old', async () => {
    await insert(1, 'wrong_signature', 10, `now() - interval '31 days'`);
    await insert(1, 'wrong_signature', 10);
    await pool.query(
      `INSERT INTO webhook_rejection_stats VALUES (now() - interval '91 days', 'too_large', 1)`,
    );
    await trimRejections(pool);
    expect(await keptRows()).toBe(1);
    expect(await one('SELECT count(*)::integer AS value FROM webhook_rejection_stats')).toBe(0);
  });
});
