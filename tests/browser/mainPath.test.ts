import { AxeBuilder } from '@axe-core/playwright';
import { type Page } from 'playwright-core';
import { useChromium } from '../support/chromium';
import { useDevelopmentServer } from '../support/developmentServer';

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

describe.each([
  {
    name: 'desktop-light',
    viewport: { width: 1280, height: 900 },
    colorScheme: 'light' as const,
    javaScriptEnabled: true,
  },
  {
    name: 'phone-dark',
    viewport: { width: 390, height: 844 },
    colorScheme: 'dark' as const,
    javaScriptEnabled: true,
  },
  {
    name: 'small-phone-no-script',
    viewport: { width: 320, height: 640 },
    colorScheme: 'light' as const,
    javaScriptEnabled: false,
  },
])('the main path on $name', ({ name, ...options }) => {
  const server = useDevelopmentServer();

  it('leads from the landing page to a comment that one can read', async () => {
    const { page, problems } = await browser.open(options);
    page.setDefaultTimeout(10_000);
    const look = (step: string) =>
      options.javaScriptEnabled ? expectGoodPage(page, `${name}-${step}`) : Promise.resolve();

    await page.goto(server.url);
    await look('1-landing');
    await page.getByRole('link', { name: 'Create account' }).first().click();
    await look('2-register');
    await page.getByLabel('E-mail').fill(`${name}@example.com`);
    await page.getByLabel('Password').first().fill('correct horse battery');
    await page.locator('main').getByRole('button', { name: 'Create account' }).click();
    await page.waitForURL('**/onboarding');
    await look('3-onboarding');

    await page.getByRole('link', { name: 'Connect Instagram' }).first().click();
    await page.waitForURL('**/dialog/oauth**');
    await page.getByText('Ada Example').first().click();
    await page.getByRole('button', { name: /Continue/ }).click();
    await page.waitForURL(`${server.url}/accounts**`);
    await look('4-accounts');

    const text = `Are you open on Sunday? ${name}`;
    await page.goto(`${server.sandboxUrl}/_sandbox/ui`);
    await page.getByRole('link', { name: 'bar.example' }).first().click();
    await page.getByLabel('Comment', { exact: true }).fill(text);
    await page.getByRole('button', { name: 'Post comment' }).click();
    await page.getByText('Delivered to the app').waitFor();

    await page.goto(`${server.url}/events`);
    if (!(await page.locator('main').textContent())?.includes('Processed')) {
      // Once by hand is what a person may have to do within the two seconds.
      await new Promise((resolve) => setTimeout(resolve, 2000));
      await page.reload();
    }
    expect(await page.locator('main').textContent()).toContain(text);
    expect(await page.locator('main').textContent()).toContain('Processed');
    await look('5-events');
    await page.getByRole('link', { name: 'Comment' }).first().click();
    await page.waitForURL('**/events/*');
    expect(await page.locator('main').textContent()).toContain(text);
    expect(await page.locator('main').textContent()).toContain('Processed');
    await look('6-event');
    await page.goto(`${server.url}/dashboard`);
    await look('7-overview');
    await page.goto(`${server.url}/accounts`);
    await page
      .locator('main')
      .getByRole('link', { name: /bar\.example/ })
      .first()
      .click();
    await page.waitForURL('**/accounts/*');
    await look('8-account');
    await page.goto(`${server.url}/nowhere`);
    await look('9-not-found');

    // Whose session ran out before pressing Connect still gets to Meta's dialog.
    await page.context().clearCookies();
    await page.goto(`${server.url}/oauth/start?provider=facebook`);
    await page.getByLabel('E-mail').fill(`${name}@example.com`);
    await page.getByLabel('Password').first().fill('correct horse battery');
    await page.locator('main').getByRole('button', { name: 'Log in' }).click();
    await page.waitForURL('**/dialog/oauth**');
    expect(problems.filter((problem) => !problem.includes('404'))).toEqual([]);
  });
});
