import { BAKERY_ACCOUNT, BAR_ACCOUNT, HOTEL_ACCOUNT } from '../../src/sandbox/seed';
import { type Browser, type Page } from './browser';

export { ADA, BRUNO } from '../../src/sandbox/seed';
export { BAKERY_ACCOUNT, BAR_ACCOUNT, HOTEL_ACCOUNT };

/** How the person answers Meta's dialog; grants everything for all Pages when left out. */
export interface DialogAnswer {
  auto?: 'grant' | 'deny' | 'forbidden';
  /** Ada when left out. */
  person?: string;
  /** Page ids to tick. */
  pages?: string[];
  /** Permissions to untick. */
  decline?: string[];
}

export const START = '/oauth/start?provider=facebook';

/** Goes to Meta's dialog and answers it. @returns the path of our callback that Meta sends the browser to */
export async function visitDialog(
  browser: Browser,
  start = START,
  answer: DialogAnswer = {},
): Promise<string> {
  const started = await browser.fetch(start);
  const dialog = new URL(started.headers.get('Location') ?? '', browser.baseUrl);
  if (started.status !== 302 || dialog.origin === browser.baseUrl)
    throw new Error(`no dialog: ${started.status} ${dialog.href}`);
  dialog.searchParams.set('_auto', answer.auto ?? 'grant');
  if (answer.person !== undefined) dialog.searchParams.set('_person', answer.person);
  if (answer.pages !== undefined) dialog.searchParams.set('_pages', answer.pages.join(','));
  if (answer.decline !== undefined) dialog.searchParams.set('_decline', answer.decline.join(','));
  const answered = await fetch(dialog, { redirect: 'manual' });
  const callback = new URL(answered.headers.get('Location') ?? '');
  return callback.pathname + callback.search;
}

/** The whole way: dialog, callback, and the page it ends on. */
export async function connect(browser: Browser, answer: DialogAnswer = {}, start = START): Promise<Page> {
  return browser.get(await visitDialog(browser, start, answer));
}
