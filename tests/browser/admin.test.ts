import { AxeBuilder } from '@axe-core/playwright';
import { type Page } from 'playwright-core';
import { recordJobEnd, recordJobStart } from '../../src/models/jobHeartbeats';
import { useApp, VERIFY_TOKEN } from '../support/app';
import { useChromium } from '../support/chromium';
import { commentItem, deliver, notification, sign } from '../support/webhook';

const app = useApp();
const browser = useChromium();
const shots = process.env['SCREENSHOTS'];

/** Nothing to correct by WCAG 2.2 AA, nothing that overflows sideways. */
async function expectGoodPage(page: Page, name: string): Promise<void> {
  if (shots !== undefined) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
    .analyze();
  expect([
    name,
    violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`),
  ]).toEqual([name, []]);
  const overflow = await page.evaluate(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  );
  expect([name, overflow]).toEqual([name, 0]);
}

/** A server on which something happened: refused requests, handshakes, jobs, an alert. */
async function makeTraffic(): Promise<void> {
  const { pool } = app.context;
  const body = notification('17841455500011122', { changes: [commentItem('1', 'Do you ship to Køge? 😀')] });
  const url = `${app.url}/webhook`;
  await deliver(app.url, body);
  await deliver(app.url, 'not json at all');
  await deliver(app.url, body, { 'X-Hub-Signature-256': sign(body, 'a-secret-that-was-reset') });
  await deliver(app.url, 'x'.repeat(300_000), { 'X-Hub-Signature-256': sign(body) });
  await deliver(app.url, body, { 'X-Hub-Signature-256': 'sha256=NOT-HEXADECIMAL' });
  await fetch(url, {
    method: 'POST',
    body,
    headers: { 'User-Agent': `Mozilla/5.0 (${'scanner '.repeat(20)})` },
  });
  await fetch(url, { method: 'DELETE' });
  for (const token of [VERIFY_TOKEN, `${VERIFY_TOKEN} `, 'something-else'])
    await fetch(`${url}?hub.mode=subscribe&hub.challenge=1&hub.verify_token=${encodeURIComponent(token)}`);
  await fetch(url);
  await app.context.rejections.flush();
  await app.context.handshakes.flush();
  await recordJobStart(pool, 'webhook-processor', 'server-1.example.com');
  await recordJobEnd(pool, 'webhook-processor', 'server-1.example.com', 'succeeded', {
    processed: 1234,
    ignored: 5,
  });
  await recordJobStart(pool, 'webhook-processor', 'server-1.example.com');
  await recordJobStart(pool, 'refresh-tokens', 'server-1.example.com');
  await recordJobEnd(pool, 'refresh-tokens', 'server-1.example.com', 'failed', { refreshed: 3, failed: 1 });
}

describe.each([
  { name: 'desktop-light', width: 1280, colorScheme: 'light' as const },
  { name: 'phone-dark', width: 390, colorScheme: 'dark' as const },
  { name: 'small-phone', width: 320, colorScheme: 'light' as const },
])('the operators’ area on $name', ({ name, width, colorScheme }) => {
  it('is readable, empty and full', async () => {
    await app.context.pool.query(
      `TRUNCATE webhook_rejections, webhook_rejection_stats, webhook_handshakes, job_heartbeats, webhook_events,
                webhook_event_stats, webhook_deliveries RESTART IDENTITY CASCADE`,
    );
    const { page, problems } = await browser.open({ viewport: { width, height: 900 }, colorScheme });
    page.setDefaultTimeout(10_000);
    const email = `${name}@example.com`;
    await page.goto(`${app.url}/auth/register`);
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password').first().fill('correct horse battery');
    await page.locator('main').getByRole('button', { name: 'Create account' }).click();
    await page.waitForURL('**/onboarding');
    await app.context.pool.query(`UPDATE users SET role = 'operator' WHERE email = $1`, [email]);

    const visit = async (path: string, step: string) => {
      await page.goto(`${app.url}${path}`);
      await expectGoodPage(page, `admin-${name}-${step}`);
    };
    await visit('/admin', '1-empty');
    await visit('/admin/rejections', '2-no-rejections');
    await visit('/admin/handshakes', '3-no-handshakes');

    await makeTraffic();
    await visit('/admin', '4-overview');
    await page.getByText('Pause or drain').click();
    await page.getByLabel('Reason').fill('Restoring a backup');
    await expectGoodPage(page, `admin-${name}-5-pausing`);
    await page.getByRole('button', { name: 'Pause processing' }).click();
    await page.getByRole('button', { name: 'Resume processing' }).waitFor();
    await expectGoodPage(page, `admin-${name}-6-paused`);
    await page.getByRole('button', { name: 'Resume processing' }).click();
    await page.getByText('Pause or drain').waitFor();

    await page.locator('main').getByRole('link', { name: 'Rejected requests' }).click();
    await expectGoodPage(page, `admin-${name}-7-rejections`);
    await page.getByRole('link', { name: 'Wrong signature' }).last().click();
    await page.getByRole('button', { name: 'Check again' }).click();
    await page.getByText('Checked again').waitFor();
    await expectGoodPage(page, `admin-${name}-8-rejection`);
    await visit('/admin/rejections?reason=compressed', '9-no-match');
    await visit('/admin/handshakes', '10-handshakes');
    await visit('/events?accountId=none', '11-unowned');
    expect(problems).toEqual([]);
  });
});
