import { AxeBuilder } from '@axe-core/playwright';
import { type Page } from 'playwright-core';
import { stepBulkRetries } from '../../src/jobs/stepBulkRetries';
import { useApp } from '../support/app';
import { useChromium } from '../support/chromium';
import { makeAccount } from '../support/factories';

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

async function makeDeadLetters(email: string, count: number): Promise<void> {
  const { pool } = app.context;
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM users WHERE email = $1', [email]);
  const userId = rows[0]!.id;
  const account = await makeAccount(pool, userId);
  await pool.query(
    `WITH event AS (
       INSERT INTO webhook_events (instagram_account_id, user_id, object, entry_id, event_type, dedupe_key, payload, status, attempts, last_error)
       SELECT $1, $2, 'instagram', $3, 'comments', gen_random_uuid(), '{"field":"comments","value":{"id":"1","text":"Are you open on Sunday?"}}',
              'dead_letter', 4, 'processing_failed'
       FROM generate_series(1, $4::integer)
       RETURNING received_at
     )
     INSERT INTO webhook_event_changes (hour, user_id, instagram_account_id, event_type, received, dead_letter)
     SELECT date_trunc('hour', received_at, 'UTC'), $2, $1, 'comments', 1, 1
     FROM event`,
    [account.id, userId, account.igUserId, count],
  );
}

/** Makes room as processors would, and then a step. */
async function makeStep(): Promise<void> {
  await app.context.pool.query(
    `UPDATE webhook_events SET status = 'processed', processed_at = now() WHERE status = 'pending'`,
  );
  await stepBulkRetries(app.context.pool);
}

describe.each([
  { name: 'desktop-light', viewport: { width: 1280, height: 900 }, colorScheme: 'light' as const },
  { name: 'phone-dark', viewport: { width: 390, height: 844 }, colorScheme: 'dark' as const },
  { name: 'small-phone-light', viewport: { width: 320, height: 640 }, colorScheme: 'light' as const },
])('bulk retries on $name', ({ name, ...options }) => {
  it('are counted, watched and cancelled', async () => {
    const { page, problems } = await browser.open(options);
    page.setDefaultTimeout(10_000);
    const look = (step: string) => expectGoodPage(page, `bulk-${name}-${step}`);
    const email = `${name}@example.com`;
    await page.goto(`${app.url}/auth/register`);
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password').first().fill('correct horse battery');
    await page.locator('main').getByRole('button', { name: 'Create account' }).click();
    await page.waitForURL('**/onboarding');
    await page.goto(`${app.url}/events/retries`);
    await look('0-none');
    await makeDeadLetters(email, 1240);

    await page.goto(`${app.url}/events?status=dead_letter&status=failed&q=Sunday&from=2026-01-01`);
    await look('1-events');
    await page.getByRole('link', { name: 'Retry these' }).click();
    await look('2-confirm');
    await page.getByRole('button', { name: 'Retry 1,240 events' }).click();
    await page.waitForURL('**/events/retries/*');
    await makeStep();
    await page.getByText('100 of 1,240 events queued again').waitFor();
    expect(await page.getByRole('progressbar', { name: 'Progress' }).getAttribute('max')).toBe('1240');
    expect(await page.evaluate('document.querySelector("progress").value')).toBe(100);
    await look('3-running');

    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('Cancelled after 100 events were queued').waitFor();
    await look('4-cancelled');

    await page.goto(`${app.url}/events/retry?status=dead_letter`);
    await look('5-confirm-again');
    await page.getByRole('button', { name: 'Retry 1,140 events' }).click();
    await page.waitForURL('**/events/retries/*');
    await app.context.pool.query(
      `DELETE FROM webhook_events WHERE id IN (SELECT id FROM webhook_events WHERE status = 'dead_letter' ORDER BY id DESC LIMIT 3)`,
    );
    for (let steps = 0; steps < 12; steps++) await makeStep();
    await page.getByText('Done: 1,137 events were queued again.').waitFor(); // the page came again by itself
    await look('6-finished');
    await page.getByRole('link', { name: 'All bulk retries' }).click();
    await page.waitForURL('**/events/retries');
    await look('7-list');
    await page.goto(`${app.url}/events/retry?status=dead_letter`);
    await look('8-nothing');
    expect(problems).toEqual([]);
  });
});
