import { recordJobEnd, recordJobStart } from '../../src/models/jobHeartbeats';
import { setQueuePaused } from '../../src/models/queueSettings';
import { OPERATOR_TOKEN, useApp } from '../support/app';
import { makeAccount, makeUser } from '../support/factories';
import { commentItem, deliver, notification, sign } from '../support/webhook';

const app = useApp();
/** As it comes through nginx. */
const outside = { 'X-Forwarded-For': '203.0.113.9' };
const status = async (path: string, headers: Record<string, string> = {}) =>
  (await fetch(`${app.url}${path}`, { headers })).status;

describe.each(['/metrics', '/alerts'])('GET %s', (path) => {
  it('is for programs on this machine, the token and operators', async () => {
    expect(await status(path)).toBe(200);
    expect(await status(path, { ...outside, Authorization: `Bearer ${OPERATOR_TOKEN}` })).toBe(200);
    const operator = app.browser();
    const { id } = await operator.register();
    expect((await operator.fetch(path, { headers: outside })).status).toBe(404);
    await app.context.pool.query(`UPDATE users SET role = 'operator' WHERE id = $1`, [id]);
    expect((await operator.fetch(path, { headers: outside })).status).toBe(200);
    await app.context.pool.query(
      `UPDATE sessions SET sess = (sess::jsonb || '{"loggedInAt": 1}')::json WHERE user_id = $1`,
      [id],
    );
    expect((await operator.fetch(path, { headers: outside })).status).toBe(404);
  });

  it('does not exist for everybody else', async () => {
    expect(await status(path, outside)).toBe(404);
    expect(await status(path, { Forwarded: 'for=203.0.113.9' })).toBe(404);
    expect(await status(path, { ...outside, Authorization: 'Bearer wrong' })).toBe(404);
    expect(await status(path, { ...outside, Authorization: 'Bearer ' })).toBe(404);
  });
});

it('the metrics equal the database', async () => {
  const { pool } = app.context;
  const owner = await makeUser(pool);
  const account = await makeAccount(pool, owner.id);
  await deliver(
    app.url,
    notification(account.igUserId, { changes: [commentItem('1'), commentItem('2'), commentItem('3')] }),
  );
  await deliver(app.url, '{"not":"a notification"}');
  const text = await (await fetch(`${app.url}/metrics`)).text();
  expect(text).toContain('insta_connect_webhook_events{status="pending"} 3');
  expect(text).toContain('insta_connect_webhook_events{status="dead_letter"} 1');
  expect(text).toContain('insta_connect_instagram_accounts{status="active"} 1');
  const json = (await (
    await fetch(`${app.url}/metrics`, { headers: { Accept: 'application/json' } })
  ).json()) as { name: string }[];
  expect(json.map(({ name }) => name)).toContain('insta_connect_webhook_events');
});

it('the alerts notice a processor that fails each time it is started', async () => {
  const { pool } = app.context;
  const names = async () =>
    ((await (await fetch(`${app.url}/alerts`)).json()) as { alerts: { name: string }[] }).alerts.map(
      ({ name }) => name,
    );
  await recordJobStart(pool, 'webhook-processor', 'host');
  await recordJobEnd(pool, 'webhook-processor', 'host', 'failed', {});
  await recordJobStart(pool, 'webhook-processor', 'host');
  expect(await names()).toEqual(
    expect.arrayContaining(['webhook_processor_silent', 'job_failed_webhook_processor']),
  );
  await recordJobEnd(pool, 'webhook-processor', 'host', 'succeeded', {});
  expect(await names()).not.toContain('webhook_processor_silent');
  await pool.query(`UPDATE job_heartbeats SET beat_at = now() - interval '4 minutes'`);
  expect(await names()).toContain('webhook_processor_silent');
  await pool.query('TRUNCATE job_heartbeats');
});

it('the alerts name what needs an operator, and go when it is gone', async () => {
  const read = async () =>
    (await (await fetch(`${app.url}/alerts`)).json()) as {
      status: string;
      alerts: { name: string; severity: string; since: string; runbook: string }[];
    };
  expect(await read()).toMatchObject({ status: 'firing', alerts: [{ name: 'dead_letters' }] });
  await app.context.pool.query(
    `UPDATE webhook_events SET received_at = now() - interval '10 minutes', next_attempt_at = now() - interval '10 minutes' WHERE status = 'pending'`,
  );
  const { alerts } = await read();
  expect(alerts.map(({ name }) => name)).toEqual(['webhook_events_waiting', 'dead_letters']);
  for (const alert of alerts) {
    expect(alert.since).toMatch(/Z$/);
    expect(alert.runbook).toMatch(/runbook/);
  }
  await app.context.pool.query('TRUNCATE webhook_events CASCADE');
  expect(await read()).toEqual({ status: 'ok', alerts: [] });
});

it('the alerts say that processing is paused, and that signatures are refused', async () => {
  const { pool } = app.context;
  const names = async () =>
    ((await (await fetch(`${app.url}/alerts`)).json()) as { alerts: { name: string }[] }).alerts.map(
      ({ name }) => name,
    );
  const { id: userId } = await makeUser(pool);
  await setQueuePaused(pool, { isPaused: true, userId, reason: null });
  for (let number = 0; number < 20; number++)
    await deliver(app.url, `{"number":${number}}`, { 'X-Hub-Signature-256': sign('something else') });
  await app.context.rejections.flush();
  expect(await names()).toEqual(expect.arrayContaining(['queue_paused', 'signatures_refused']));
  await setQueuePaused(pool, { isPaused: false });
  await pool.query('TRUNCATE webhook_rejection_stats');
  expect(await names()).toEqual([]);
});
