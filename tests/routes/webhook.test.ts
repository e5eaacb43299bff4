import { createHash } from 'node:crypto';
import http from 'node:http';
import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { INSTAGRAM_SECRET, useApp, VERIFY_TOKEN } from '../support/app';
import { makeAccount, makeUser } from '../support/factories';
import { commentItem, deliver, messageItem, notification, sign } from '../support/webhook';

const app = useApp();
const IG = '17841455500011122';
const neverStop = new AbortController().signal;

const count = async (table: string): Promise<number> => {
  const { rows } = await app.context.pool.query<{ count: number }>(
    `SELECT count(*)::integer AS count FROM ${table}`,
  );
  return rows[0]!.count;
};

beforeEach(async () => {
  await app.context.pool.query(
    'TRUNCATE users, interactions, webhook_deliveries, webhook_events, webhook_event_stats, sessions RESTART IDENTITY CASCADE',
  );
});

describe('GET /webhook', () => {
  const ask = (query: string) => fetch(`${app.url}/webhook?${query}`);
  const right = `hub.mode=subscribe&hub.verify_token=${VERIFY_TOKEN}`;

  it('repeats the challenge as plain text to the right token', async () => {
    const response = await ask(`${right}&hub.challenge=1158201444`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch('text/plain');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await response.text()).toBe('1158201444');
  });

  it.each([
    ['nothing', ''],
    ['a wrong token', 'hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1'],
    ['no token', 'hub.mode=subscribe&hub.challenge=1'],
    ['another mode', `hub.mode=unsubscribe&hub.verify_token=${VERIFY_TOKEN}&hub.challenge=1`],
    ['two tokens', `${right}&hub.verify_token=x&hub.challenge=1`],
    ['a token in brackets', `hub.mode=subscribe&hub.verify_token[]=${VERIFY_TOKEN}&hub.challenge=1`],
    ['a script as challenge', `${right}&hub.challenge=<script>`],
    ['a challenge of 10 kB', `${right}&hub.challenge=${'1'.repeat(10_000)}`],
  ])('answers 403 to %s', async (_name, query) => {
    expect((await ask(query)).status).toBe(403);
  });
});

describe('POST /webhook, its signature', () => {
  const body = notification(IG, { changes: [commentItem('1')] });
  const good = sign(body);
  const post = (headers: Record<string, string>) =>
    fetch(`${app.url}/webhook`, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json', ...headers },
    });

  it('may be by any configured secret', async () => {
    for (const signature of [good, sign(body, INSTAGRAM_SECRET)]) {
      const response = await post({ 'X-Hub-Signature-256': signature });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe('EVENT_RECEIVED');
    }
    const { rows } = await app.context.pool.query('SELECT signed_by FROM webhook_deliveries ORDER BY id');
    expect(rows).toEqual([{ signed_by: 'meta' }, { signed_by: 'instagram' }]);
  });

  it.each<[string, Record<string, string>]>([
    ['none', {}],
    ['an empty one', { 'X-Hub-Signature-256': '' }],
    ['only the name', { 'X-Hub-Signature-256': 'sha256=' }],
    ['upper-case digits', { 'X-Hub-Signature-256': good.toUpperCase().replace('SHA256', 'sha256') }],
    ['another case of the name', { 'X-Hub-Signature-256': good.replace('sha256', 'SHA256') }],
    ['63 digits', { 'X-Hub-Signature-256': good.slice(0, -1) }],
    ['65 digits', { 'X-Hub-Signature-256': `${good}0` }],
    ['66 digits', { 'X-Hub-Signature-256': `${good}00` }],
    ['64 characters that are not hex', { 'X-Hub-Signature-256': `sha256=${'z'.repeat(64)}` }],
    ['the right one and more', { 'X-Hub-Signature-256': `${good}zz` }],
    ['only sha1', { 'X-Hub-Signature': 'sha1=96b791ad3bf438f2bfd2baa4a8656e2e8e531ffb' }],
    ['the right sha256 in the sha1 header', { 'X-Hub-Signature': good }],
    ['one by another secret', { 'X-Hub-Signature-256': sign(body, 'another-secret') }],
    ['one by the empty secret', { 'X-Hub-Signature-256': sign(body, '') }],
    ['64 letters é', { 'X-Hub-Signature-256': `sha256=${'\u00e9'.repeat(64)}` }],
    ['one twice', { 'X-Hub-Signature-256': `${good}, ${good}` }],
  ])('is refused: %s', async (_name, headers) => {
    const response = await post(headers);
    expect(response.status).toBe(401);
    expect(await response.text()).not.toContain(good.slice(7));
    expect(await count('webhook_deliveries')).toBe(0);
  });

  it('is looked at before the body is read', async () => {
    const status = await new Promise((resolve, reject) => {
      const request = http.request(
        `${app.url}/webhook`,
        { method: 'POST', headers: { 'Content-Length': '4000000' } },
        (response) => {
          resolve(response.statusCode);
          request.destroy();
        },
      );
      request.on('error', reject);
      request.write('{');
    });
    expect(status).toBe(401);
  });
});

describe('POST /webhook, its bytes', () => {
  it.each<[string, Buffer, string | undefined]>([
    ['a byte order mark', Buffer.from('\ufeff{"object":"instagram","entry":[]}'), 'application/json'],
    ['spaces and CRLF', Buffer.from('{ "object" : "instagram",\r\n"entry":[] }\r\n'), 'application/json'],
    [
      'escapes',
      Buffer.from(String.raw`{"object":"instagram","entry":[{"id":"1","x":"\u00e4\/"}]}`),
      'text/plain',
    ],
    ['raw UTF-8', Buffer.from('{"object":"instagram","entry":[{"id":"1","x":"ä😀"}]}'), undefined],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 'application/json; charset=utf-16'],
  ])('are stored as they came: %s', async (_name, body, contentType) => {
    const headers = {
      'X-Hub-Signature-256': sign(body),
      ...(contentType === undefined ? {} : { 'Content-Type': contentType }),
    };
    const response = await fetch(`${app.url}/webhook`, {
      method: 'POST',
      body: new Uint8Array(body),
      headers,
    });
    expect(response.status).toBe(200);
    const { rows } = await app.context.pool.query<{ body: Buffer; body_sha256: Buffer }>(
      'SELECT body, body_sha256 FROM webhook_deliveries',
    );
    expect(rows[0]?.body.equals(body)).toBe(true);
    expect(rows[0]?.body_sha256.equals(createHash('sha256').update(body).digest())).toBe(true);
  });

  it('may not be compressed', async () => {
    const response = await deliver(app.url, '{}', { 'Content-Encoding': 'gzip' });
    expect(response.status).toBe(415);
  });

  it('may be 3 MB of a thousand entries, and not more than 4 MB', async () => {
    const entries = Array.from({ length: 1000 }, (_value, index) => ({
      id: IG,
      time: 1,
      changes: [commentItem(`big-${index}`, 'x'.repeat(2900))],
    }));
    expect((await deliver(app.url, JSON.stringify({ object: 'instagram', entry: entries }))).status).toBe(
      200,
    );
    expect(await count('webhook_events')).toBe(1000);
    const tooLarge = Buffer.alloc(4 * 1024 * 1024 + 1, ' ');
    expect((await deliver(app.url, tooLarge)).status).toBe(413);
  });

  it('answers 405 to other methods', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const response = await fetch(`${app.url}/webhook`, { method });
      expect([method, response.status, response.headers.get('allow')]).toEqual([method, 405, 'GET, POST']);
    }
  });
});

describe('POST /webhook, poison', () => {
  const inEntry = (value: string) =>
    `{"object":"instagram","entry":[{"id":"${IG}","time":1,"changes":[{"field":"comments","value":${value}}]}]}`;
  const bodies: [string, string][] = [
    ['NUL in a value', inEntry(String.raw`{"id":"n1","text":"a\u0000"}`)],
    ['NUL in a key', inEntry(String.raw`{"id":"n2","\u0000":"a"}`)],
    [
      'NUL in every field',
      String.raw`{"object":"\u0000","entry":[{"id":"\u0000","time":"\u0000","changes":[{"field":"\u0000","value":"\u0000"}]}]}`,
    ],
    ['lone surrogates', inEntry(String.raw`{"id":"\ud83d","text":"\udc00"}`)],
    ...[5000, 50_000, 500_000].map((depth): [string, string] => [
      `${depth} deep`,
      inEntry('['.repeat(depth) + ']'.repeat(depth)),
    ]),
    ['numbers beyond double', inEntry('{"id":17841405822304914999,"a":1e400,"b":1e200000}')],
    ['duplicate keys', inEntry('{"id":"d1","id":"d2"}')],
    [
      'prototype keys',
      inEntry('{"id":"p1","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'),
    ],
    ...[
      '[]',
      '1',
      'null',
      '""',
      '',
      '{"object":"instagram"',
      '{"entry":null}',
      '{"entry":"x"}',
      '{"entry":{}}',
    ].map((body): [string, string] => [`the body ${JSON.stringify(body)}`, body]),
    [
      '20,000 entries',
      JSON.stringify({
        object: 'instagram',
        entry: Array.from({ length: 20_000 }, (_value, index) => ({ id: String(index) })),
      }),
    ],
  ];

  it.each(bodies)('is acknowledged, kept and brought to an end: %s', async (_name, body) => {
    expect((await deliver(app.url, body)).status).toBe(200);
    await app.context.pool.query(
      `UPDATE webhook_events SET status = 'processed' WHERE status = 'pending' AND id > 50`,
    );
    await processWebhookEvents(app.context, neverStop);
    const { rows } = await app.context.pool.query<{ status: string }>(
      'SELECT DISTINCT status FROM webhook_events',
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const { status } of rows) expect(['processed', 'dead_letter']).toContain(status);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe('POST /webhook, duplicates', () => {
  it('stores fifty parallel copies once and counts the rest', async () => {
    const body = notification(IG, { changes: [commentItem('7')] });
    const answers = await Promise.all(Array.from({ length: 50 }, () => deliver(app.url, body)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
    const { rows } = await app.context.pool.query('SELECT duplicate_count FROM webhook_events');
    expect(rows).toEqual([{ duplicate_count: 49 }]);
  });

  it('knows an item again when Meta batches it differently', async () => {
    const items = (...ids: string[]) => notification(IG, { changes: ids.map((id) => commentItem(id)) });
    await Promise.all([deliver(app.url, items('a', 'b', 'c')), deliver(app.url, items('d', 'c', 'b'))]);
    const { rows } = await app.context.pool.query(
      `SELECT dedupe_key, duplicate_count FROM webhook_events ORDER BY dedupe_key`,
    );
    expect(
      rows.map(({ dedupe_key, duplicate_count }) => `${String(dedupe_key).at(-1)}${duplicate_count}`),
    ).toEqual(['a0', 'b1', 'c1', 'd0']);
  });

  it('counts an item twice in one body, and has no effect when it comes back days later', async () => {
    const owner = await makeUser(app.context.pool);
    await makeAccount(app.context.pool, owner.id, { igUserId: IG });
    const item = messageItem('mid-1', IG);
    await deliver(app.url, notification(IG, { messaging: [item, item] }));
    await processWebhookEvents(app.context, neverStop);
    await app.context.pool.query(
      `UPDATE webhook_events SET received_at = now() - interval '37 hours', processed_at = now() - interval '37 hours'`,
    );
    await deliver(app.url, notification(IG, { messaging: [item] }));
    await processWebhookEvents(app.context, neverStop);
    const { rows } = await app.context.pool.query(
      'SELECT status, attempts, duplicate_count FROM webhook_events',
    );
    expect(rows).toEqual([{ status: 'processed', attempts: 1, duplicate_count: 2 }]);
    expect(await count('interactions')).toBe(1);
  });
});

describe('POST /webhook, who it is for', () => {
  it('gives each tenant only their own items, and nobody the unknown ones', async () => {
    const { pool } = app.context;
    const [ada, bob] = [await makeUser(pool), await makeUser(pool)];
    const a = await makeAccount(pool, ada.id);
    const b = await makeAccount(pool, bob.id);
    const entry = (id: string, comment: string) => ({ id, time: 1, changes: [commentItem(comment)] });
    const body = JSON.stringify({
      object: 'instagram',
      entry: [entry(a.igUserId, 'to-a'), entry(b.igUserId, 'to-b'), entry('17841499999999999', 'to-nobody')],
    });
    await deliver(app.url, body);
    await processWebhookEvents(app.context, neverStop);
    const { rows } = await pool.query(`SELECT user_id, external_id FROM interactions ORDER BY external_id`);
    expect(rows).toEqual([
      { user_id: ada.id, external_id: 'to-a' },
      { user_id: bob.id, external_id: 'to-b' },
    ]);
    const { rows: unowned } = await pool.query(
      'SELECT status, entry_id FROM webhook_events WHERE user_id IS NULL',
    );
    expect(unowned).toEqual([{ status: 'processed', entry_id: '17841499999999999' }]);
  });

  it('needs no session, opens none, and is never limited', async () => {
    const locked = await app.context.pool.connect();
    await locked.query('SET idle_in_transaction_session_timeout = 0'); // it only holds the lock
    await locked.query('BEGIN');
    await locked.query('LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE');
    try {
      for (let round = 0; round < 10; round++) {
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_value, index) =>
            deliver(app.url, notification(IG, { changes: [commentItem(`s${round}-${index}`)] })),
          ),
        );
        for (const answer of answers) {
          expect(answer.status).toBe(200);
          expect(answer.headers.get('set-cookie')).toBeNull();
        }
      }
    } finally {
      await locked.query('ROLLBACK');
      locked.release(true);
    }
    expect(await count('sessions')).toBe(0);
    expect(await count('webhook_events')).toBe(500);
  });

  it('answers 503 with Retry-After when it cannot store, and stores the same POST later', async () => {
    const body = notification(IG, { changes: [commentItem('later')] });
    await app.context.pool.query('ALTER TABLE webhook_events RENAME TO away');
    const refused = await deliver(app.url, body);
    await app.context.pool.query('ALTER TABLE away RENAME TO webhook_events');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect((await deliver(app.url, body)).status).toBe(200);
  });
});
