import http from 'node:http';
import { Writable } from 'node:stream';
import { transports } from 'winston';
import { logger } from '../../src/utils/logger';
import { INSTAGRAM_SECRET, META_SECRET, useApp, VERIFY_TOKEN } from '../support/app';
import { commentItem, deliver, notification, sign } from '../support/webhook';

const app = useApp();
const body = notification('17841455500011122', { changes: [commentItem('1')] });
const good = sign(body);
const json = { 'Content-Type': 'application/json' };
const post = (headers: Record<string, string>, sent = body) =>
  fetch(`${app.url}/webhook`, { method: 'POST', body: sent, headers: { ...json, ...headers } });

/** Sends so much of what it announced, and hangs up. */
function breakOff(): Promise<void> {
  return new Promise((resolve) => {
    const request = http.request(`${app.url}/webhook`, {
      method: 'POST',
      headers: { ...json, 'Content-Length': '1000', 'X-Hub-Signature-256': good },
    });
    request.on('error', () => resolve());
    request.write(body.slice(0, 50), () => setImmediate(() => request.destroy()));
  });
}

beforeEach(async () => {
  await app.context.rejections.flush();
  await app.context.handshakes.flush();
  await app.context.pool.query(
    'TRUNCATE webhook_rejections, webhook_rejection_stats, webhook_handshakes RESTART IDENTITY',
  );
});

async function rejections(): Promise<Record<string, unknown>[]> {
  await app.context.rejections.flush();
  const { rows } = await app.context.pool.query<Record<string, unknown>>(
    'SELECT * FROM webhook_rejections ORDER BY id',
  );
  return rows;
}

describe('POST /webhook, what is refused', () => {
  it.each<[string, () => Promise<unknown>, object]>([
    ['missing_signature', () => post({}), { signature: null, body: null, body_size: String(body.length) }],
    ['malformed_signature', () => post({ 'X-Hub-Signature-256': `${good}zz` }), { body: null }],
    [
      'wrong_signature',
      () => post({ 'X-Hub-Signature-256': sign(body, 'another-secret') }),
      { body: Buffer.from(body), body_size: String(body.length), signature: sign(body, 'another-secret') },
    ],
    ['compressed', () => deliver(app.url, '{}', { 'Content-Encoding': 'gzip' }), { body: null }],
    ['too_large', () => deliver(app.url, Buffer.alloc(4 * 1024 * 1024 + 1, ' ')), { body_size: '4194305' }],
    ['wrong_method', () => fetch(`${app.url}/webhook`, { method: 'PUT' }), { method: 'PUT', body: null }],
    ['body_incomplete', breakOff, { body: null, body_size: '1000' }],
  ])('is written down with its reason: %s', async (reason, send, expected) => {
    await send();
    let rows = await rejections();
    while (rows.length === 0) rows = await rejections();
    expect(rows).toMatchObject([{ reason, ip: expect.stringMatching(/127\.0\.0\.1$|^::1$/), ...expected }]);
  });

  it('is not written down when it is stored, or when that is our own fault', async () => {
    expect((await deliver(app.url, body)).status).toBe(200);
    await app.context.pool.query('ALTER TABLE webhook_events RENAME TO away');
    expect((await deliver(app.url, body)).status).toBe(503);
    await app.context.pool.query('ALTER TABLE away RENAME TO webhook_events');
    expect(await rejections()).toEqual([]);
  });

  it('leaves no secret and no right digest in a column or in the log', async () => {
    const lines: string[] = [];
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    });
    const spy = new transports.Stream({ stream });
    const [terminal] = logger.transports;
    terminal!.silent = true;
    logger.add(spy);
    logger.silent = false;
    try {
      await post({ 'X-Hub-Signature-256': good.toUpperCase() });
      await post({ 'X-Hub-Signature-256': `${good}, ${good}` });
      await post({ 'X-Hub-Signature-256': sign(body, 'another-secret') });
      await fetch(
        `${app.url}/webhook?hub.mode=subscribe&hub.verify_token=%20${VERIFY_TOKEN}&hub.challenge=1`,
      );
      const { rows: handshakes } = await handshakeRows();
      const written = JSON.stringify([await rejections(), handshakes, lines], (_key, value: unknown) =>
        typeof value === 'string' ? value.toLowerCase() : value,
      );
      expect(lines.length).toBeGreaterThan(0);
      for (const secret of [good.slice(7), META_SECRET, INSTAGRAM_SECRET, VERIFY_TOKEN])
        expect(written).not.toContain(secret.toLowerCase());
    } finally {
      logger.silent = true;
      logger.remove(spy);
      terminal!.silent = false;
    }
  });
});

async function handshakeRows() {
  await app.context.handshakes.flush();
  return app.context.pool.query<Record<string, unknown>>(
    'SELECT outcome, token_length, token_wrapping FROM webhook_handshakes ORDER BY id',
  );
}

describe('GET /webhook', () => {
  const right = `hub.mode=subscribe&hub.verify_token=${VERIFY_TOKEN}`;
  const length = VERIFY_TOKEN.length;

  it.each<[string, string, object]>([
    ['ok', `${right}&hub.challenge=1158201444`, { outcome: 'ok', token_length: length }],
    [
      'a wrong token',
      'hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1',
      { outcome: 'wrong_token', token_length: 5, token_wrapping: null },
    ],
    [
      'a token with spaces around it',
      `hub.mode=subscribe&hub.verify_token=${VERIFY_TOKEN}%20&hub.challenge=1`,
      { outcome: 'wrong_token', token_length: length + 1, token_wrapping: 'spaces' },
    ],
    [
      'a token in quotation marks',
      `hub.mode=subscribe&hub.verify_token=%22${VERIFY_TOKEN}%22&hub.challenge=1`,
      { outcome: 'wrong_token', token_wrapping: 'quotes' },
    ],
    [
      'two tokens',
      `${right}&hub.verify_token=x&hub.challenge=1`,
      { outcome: 'wrong_token', token_length: null, token_wrapping: null },
    ],
    ['a script as challenge', `${right}&hub.challenge=<script>`, { outcome: 'bad_challenge' }],
    [
      'another mode',
      `hub.mode=unsubscribe&hub.verify_token=${VERIFY_TOKEN}&hub.challenge=1`,
      { outcome: 'wrong_mode' },
    ],
    ['nothing', '', { outcome: 'missing', token_length: null }],
  ])('is written down: %s', async (_name, query, expected) => {
    await fetch(`${app.url}/webhook?${query}`);
    const { rows } = await handshakeRows();
    expect(rows).toMatchObject([expected]);
  });

  it('keeps the newest 500', async () => {
    await app.context.pool.query(
      `INSERT INTO webhook_handshakes (at, outcome) SELECT now(), 'missing' FROM generate_series(1, 700)`,
    );
    await fetch(`${app.url}/webhook?${right}&hub.challenge=1`);
    const { rows } = await handshakeRows();
    expect(rows).toHaveLength(500);
    expect(rows.at(-1)).toMatchObject({ outcome: 'ok' });
  });
});
