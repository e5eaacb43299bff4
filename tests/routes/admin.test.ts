import http from 'node:http';
import { type AddressInfo } from 'node:net';
import { createApp } from '../../src/app';
import { checkRejection } from '../../src/intake/checkAgain';
import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { recordJobEnd, recordJobStart } from '../../src/models/jobHeartbeats';
import { findQueuePause } from '../../src/models/queueSettings';
import { useApp, VERIFY_TOKEN } from '../support/app';
import { Browser } from '../support/browser';
import { makeAccount, makeUser } from '../support/factories';
import { commentItem, deliver, notification, sign } from '../support/webhook';

const app = useApp();
/** What Meta signs with, and APP_SECRET lacks. */
const NEW_SECRET = 'the-app-secret-after-it-was-reset';
const neverStop = new AbortController().signal;

let operator: Browser;
let operatorId: string;

async function makeOperator(): Promise<{ browser: Browser; id: string }> {
  const browser = app.browser();
  const { id } = await browser.register();
  await app.context.pool.query(`UPDATE users SET role = 'operator' WHERE id = $1`, [id]);
  return { browser, id };
}

beforeAll(async () => {
  ({ browser: operator, id: operatorId } = await makeOperator());
});
beforeEach(async () => {
  await app.context.rejections.flush();
  await app.context.handshakes.flush();
  await app.context.pool.query(
    `TRUNCATE webhook_rejections, webhook_rejection_stats, webhook_handshakes, webhook_deliveries, webhook_events,
              webhook_event_stats, queue_settings, audit_log, rate_limits RESTART IDENTITY CASCADE`,
  );
});

async function rows<T = Record<string, unknown>>(sql: string): Promise<T[]> {
  return (await app.context.pool.query(sql)).rows as T[];
}

/** The same server, restarted with another secret. */
async function withFixedSecret<T>(
  work: (fixed: Browser, context: typeof app.context) => Promise<T>,
): Promise<T> {
  const { config } = app.context;
  const meta = { ...config.meta, appSecrets: [NEW_SECRET, ...config.meta.appSecrets] };
  const context = { ...app.context, config: { ...config, meta } };
  const server = http.createServer(createApp(context));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = new Browser(`http://localhost:${(server.address() as AddressInfo).port}`);
  for (const [name, value] of operator.cookies) browser.cookies.set(name, value);
  try {
    return await work(browser, context);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Refused for now. @returns the ids, oldest first */
async function refuse(bodies: string[], secret = NEW_SECRET): Promise<string[]> {
  for (const body of bodies) {
    const answer = await deliver(app.url, body, { 'X-Hub-Signature-256': sign(body, secret) });
    expect(answer.status).toBe(401);
  }
  await app.context.rejections.flush();
  return (await rows<{ id: string }>('SELECT id FROM webhook_rejections ORDER BY id')).map(({ id }) => id);
}

const comment = (id: string) => notification('17841455500011122', { changes: [commentItem(id)] });

describe('the operators’ area', () => {
  const PAGES = ['/admin', '/admin/rejections', '/admin/rejections/1', '/admin/handshakes', '/admin/nothing'];
  const FORMS = [
    '/admin/queue/pause',
    '/admin/queue/resume',
    '/admin/rejections/check',
    '/admin/rejections/1/check',
  ];

  it.each<[string, () => Promise<Browser>]>([
    ['a visitor', () => Promise.resolve(app.browser())],
    [
      'a user',
      async () => {
        const browser = app.browser();
        await browser.register();
        return browser;
      },
    ],
  ])('does not exist for %s', async (_name, makeBrowser) => {
    await refuse([comment('1')]);
    const browser = await makeBrowser();
    for (const path of PAGES) expect([path, (await browser.get(path)).status]).toEqual([path, 404]);
    for (const path of FORMS) {
      expect([path, (await browser.post(path)).status]).toEqual([path, 404]);
      const without = await browser.fetch(path, { method: 'POST' });
      const nowhere = await browser.fetch('/nowhere', { method: 'POST' });
      expect([path, without.status]).toEqual([path, nowhere.status]);
    }
    expect((await findQueuePause(app.context.pool)) !== null).toBe(false);
    expect(await rows('SELECT id FROM webhook_rejections WHERE checked_at IS NOT NULL')).toEqual([]);
    expect((await browser.get('/events')).text).not.toContain('href="/admin"');
  });

  it('is there for operators, with a way to it in the navigation, and only with the CSRF token', async () => {
    await refuse([comment('1')]);
    for (const path of PAGES.slice(0, 4)) {
      const page = await operator.get(path);
      expect([path, page.status]).toEqual([path, 200]);
      expect(page.text).toContain('href="/admin"');
    }
    for (const path of FORMS)
      expect([path, (await operator.fetch(path, { method: 'POST' })).status]).toEqual([path, 403]);
    for (const path of ['/admin/rejections/999', '/admin/rejections/x', '/admin/nothing'])
      expect([path, (await operator.get(path)).status]).toEqual([path, 404]);
    expect((await operator.post('/admin/rejections/999/check')).status).toBe(404);
  });

  it('shows alerts with their place in the runbook, jobs, and what came in 24 hours', async () => {
    const { pool } = app.context;
    await recordJobStart(pool, 'maintenance', 'machine-1');
    await recordJobEnd(pool, 'maintenance', 'machine-1', 'failed', { subscriptionsRepaired: 3 });
    await refuse([comment('1'), comment('2')]);
    await fetch(`${app.url}/webhook?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1`);
    await app.context.handshakes.flush();
    await recordJobStart(pool, 'webhook-processor', 'machine-1');
    expect((await operator.get('/admin')).text).not.toContain('No sign of life');
    await pool.query(`UPDATE job_heartbeats SET beat_at = now() - interval '2 minutes'`);
    const { text } = await operator.get('/admin');
    await pool.query('TRUNCATE job_heartbeats');
    expect(text.match(/No sign of life/g)).toHaveLength(1);
    expect(text).toContain('docs/runbook.md#job_failed_maintenance');
    expect(text).toContain('machine-1');
    expect(text).toContain('subscriptionsRepaired 3');
    expect(text).toMatch(/reason=wrong_signature"><span class="sr-only">Wrong signature: <\/span>2</);
    expect(text).toContain('Wrong token');
    expect(text).not.toContain('No alert is firing');
  });

  it('leads to the events nobody owns, which only operators see', async () => {
    const { pool } = app.context;
    const { id } = await makeAccount(pool, operatorId);
    await deliver(app.url, comment('of-nobody'));
    await pool.query(
      `INSERT INTO webhook_events (user_id, instagram_account_id, event_type, dedupe_key) VALUES ($1, $2, 'mentions', 'own')`,
      [operatorId, id],
    );
    const idsIn = async (browser: Browser, query: string) =>
      ((await browser.json('GET', `/api/webhook-events${query}`)).body.events as { eventType: string }[]).map(
        ({ eventType }) => eventType,
      );
    expect(await idsIn(operator, '')).toEqual(['mentions', 'comments']);
    expect(await idsIn(operator, '?accountId=none')).toEqual(['comments']);
    expect(await idsIn(operator, `?accountId=none,${id}`)).toEqual(['mentions', 'comments']);
    const user = app.browser();
    await user.register();
    expect(await idsIn(user, '?accountId=none')).toEqual([]);
    const { text } = await operator.get('/events?accountId=none');
    expect(text).toContain('Account: No account');
    expect(text).toContain('value="none" checked');
  });
});

describe('pause and drain', () => {
  it('is thrown once, says since when and by whom, and is written down', async () => {
    const page = await operator.post('/admin/queue/pause', { reason: 'before the <restore>' });
    expect(page.path).toBe('/admin');
    expect(page.text).toContain('Processing is paused.');
    expect(page.text).toContain('before the &lt;restore&gt;');
    expect((await findQueuePause(app.context.pool)) !== null).toBe(true);
    expect((await operator.post('/admin/queue/pause')).text).toContain('was paused already');
    expect((await operator.post('/admin/queue/resume')).text).toContain('Processing goes on.');
    expect((await operator.post('/admin/queue/resume')).text).toContain('was running already');
    expect((await findQueuePause(app.context.pool)) !== null).toBe(false);
    expect(await rows('SELECT user_id, action, details FROM audit_log ORDER BY id')).toEqual([
      { user_id: operatorId, action: 'queue.paused', details: { reason: 'before the <restore>' } },
      { user_id: operatorId, action: 'queue.resumed', details: {} },
    ]);
  });

  it('refuses a reason that is no short text', async () => {
    for (const reason of ['x'.repeat(201), 'a\0b'])
      expect((await operator.post('/admin/queue/pause', { reason })).status).toBe(400);
    expect((await findQueuePause(app.context.pool)) !== null).toBe(false);
  });
});

describe('a rejected request', () => {
  it('is shown with its reason, and its body plays no tricks', async () => {
    const [id] = await refuse(['<script>alert(1)</script>\u202e\u0000\u001b[2J']);
    const { text } = await operator.get(`/admin/rejections/${id}`);
    expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;\ufffd\ufffd\ufffd[2J');
    expect(text).not.toContain('<script>alert');
    expect(text).toContain('no configured app secret makes it from these bytes');
  });

  it('says why it cannot be checked', async () => {
    await fetch(`${app.url}/webhook`, { method: 'POST', body: '{}' });
    const [, cutId] = await refuse([JSON.stringify('x'.repeat(300_000))]);
    expect((await operator.get('/admin/rejections/1')).text).toContain('before its body was read');
    const { text } = await operator.get(`/admin/rejections/${cutId}`);
    expect(text).toContain('Only the beginning of its body was kept');
    expect(text).toContain('Of 300 kB, the first 262.1 kB were kept.');
    await withFixedSecret(async (fixed) => {
      await fixed.post(`/admin/rejections/${cutId}/check`);
      await fixed.post('/admin/rejections/check');
    });
    expect(await rows('SELECT id FROM webhook_deliveries')).toEqual([]);
  });

  it('is listed newest first, by reason, in pages', async () => {
    await app.context.pool.query(
      `INSERT INTO webhook_rejections (received_at, reason, method, user_agent)
       SELECT now(), CASE WHEN number % 2 = 0 THEN 'too_large' ELSE 'missing_signature' END, 'POST', 'agent-' || number
       FROM generate_series(1, 120) AS number`,
    );
    const numbersIn = (text: string) =>
      [...text.matchAll(/agent-(\d+)/g)].map(([, number]) => Number(number));
    const first = await operator.get('/admin/rejections?reason=too_large');
    expect(numbersIn(first.text)).toEqual(Array.from({ length: 50 }, (_value, index) => 120 - 2 * index));
    const older = /href="([^"]+cursor=\d+)"/.exec(first.text)![1]!.replaceAll('&amp;', '&');
    const second = await operator.get(older);
    expect(numbersIn(second.text)).toEqual([20, 18, 16, 14, 12, 10, 8, 6, 4, 2]);
    expect(second.text).toContain('rel="prev" href="/admin/rejections?reason=too_large"');
    expect((await operator.get('/admin/rejections?reason=%00&cursor=x')).status).toBe(200);
    expect((await operator.get('/admin/rejections?reason=compressed')).text).toContain('None of this kind');
  });
});

describe('check again', () => {
  it('stores a request whose secret was missing, as Meta’s next try would have been', async () => {
    const owner = await makeUser(app.context.pool);
    await makeAccount(app.context.pool, owner.id, { igUserId: '17841455500011122' });
    const [id] = await refuse([comment('late')]);
    expect((await operator.post(`/admin/rejections/${id}/check`)).text).toContain(
      'Still no configured secret fits',
    );
    expect(await rows('SELECT id FROM webhook_deliveries')).toEqual([]);

    await withFixedSecret(async (fixed) => {
      const page = await fixed.post(`/admin/rejections/${id}/check`);
      expect(page.text).toContain('Stored after all');
      expect((await fixed.post(`/admin/rejections/${id}/check`)).text).toContain('nothing to check any more');
      expect((await fixed.post('/admin/rejections/check')).text).toContain('nothing to check');
    });
    expect(await rows('SELECT signed_by, event_count, body FROM webhook_deliveries')).toEqual([
      { signed_by: 'meta', event_count: 1, body: Buffer.from(comment('late')) },
    ]);
    const [promoted] = await rows(
      `SELECT body, delivery_id = (SELECT id FROM webhook_deliveries) AS "isLinked", promoted_at IS NOT NULL AS "isPromoted" FROM webhook_rejections`,
    );
    expect(promoted).toEqual({ body: null, isLinked: true, isPromoted: true });
    await processWebhookEvents(app.context, neverStop);
    expect(await rows('SELECT user_id, external_id FROM interactions')).toEqual([
      { user_id: owner.id, external_id: 'late' },
    ]);
    const audit = await rows<{ action: string }>('SELECT action FROM audit_log ORDER BY id');
    expect(audit.map(({ action }) => action)).toEqual(['rejection.promoted', 'rejections.checked']);
  });

  it('stores it once when two operators press at the same time', async () => {
    const [id] = await refuse([comment('once')]);
    const { id: otherId } = await makeOperator();
    await withFixedSecret(async (_fixed, context) => {
      const outcomes = await Promise.all(
        [operatorId, otherId, operatorId, otherId].map((userId) => checkRejection(context, userId, id!)),
      );
      expect(outcomes.sort()).toEqual(['gone', 'gone', 'gone', 'promoted']);
    });
    expect(await rows('SELECT id FROM webhook_deliveries')).toHaveLength(1);
    expect(await rows('SELECT duplicate_count FROM webhook_events')).toEqual([{ duplicate_count: 0 }]);
    expect(await rows(`SELECT id FROM audit_log WHERE action = 'rejection.promoted'`)).toHaveLength(1);
  });

  it('goes through all of them, oldest first, also twice at once', async () => {
    await refuse([comment('a'), comment('b'), comment('a')]);
    await refuse([comment('forged')], 'a-secret-of-somebody-else');
    await withFixedSecret(async (fixed) => {
      const pages = await Promise.all([
        fixed.post('/admin/rejections/check'),
        fixed.post('/admin/rejections/check'),
      ]);
      for (const page of pages) expect(page.status).toBe(200);
      const { text } = await fixed.get('/admin/rejections');
      expect(text.match(/badge-ok/g)).toHaveLength(3);
      expect(text).toContain('Still refused');
    });
    expect(
      await rows(`SELECT payload->'value'->>'id' AS id, duplicate_count FROM webhook_events ORDER BY id`),
    ).toEqual([
      { id: 'a', duplicate_count: 1 },
      { id: 'b', duplicate_count: 0 },
    ]);
    const [{ stored } = { stored: 0 }] = await rows<{ stored: number }>(
      `SELECT sum((details->>'promoted')::integer)::integer AS stored FROM audit_log WHERE action = 'rejections.checked'`,
    );
    expect(stored).toBe(3);
  });

  it('keeps what PostgreSQL’s jsonb cannot hold, as a fresh delivery would', async () => {
    const [id] = await refuse([notification('1', { changes: [commentItem('nul', '\0')] })]);
    await withFixedSecret((fixed) => fixed.post(`/admin/rejections/${id}/check`));
    expect(await rows('SELECT status FROM webhook_events')).toEqual([{ status: 'dead_letter' }]);
    expect(await rows('SELECT id FROM webhook_rejections WHERE promoted_at IS NULL')).toEqual([]);
  });
});

describe('GET /admin/handshakes', () => {
  it('says what was wrong, without the token', async () => {
    const ask = (token: string) =>
      fetch(
        `${app.url}/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=${encodeURIComponent(token)}`,
      );
    await ask(VERIFY_TOKEN);
    await ask(` ${VERIFY_TOKEN}`);
    await ask('short');
    const { text } = await operator.get('/admin/handshakes');
    expect(text).toContain('Accepted');
    expect(text).toContain('It has spaces around it');
    expect(text).toContain(`The token given has 5 characters, ours has ${VERIFY_TOKEN.length}.`);
    expect(text).not.toContain(VERIFY_TOKEN);
    expect(text).toContain(`${app.url}/webhook`);
  });
});
