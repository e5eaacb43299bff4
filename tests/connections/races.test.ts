import { disconnect } from '../../src/connections/disconnect';
import { useApp } from '../support/app';
import { connect, START, visitDialog } from '../support/connect';

const app = useApp({ sandbox: true, env: { RATE_LIMIT_SCALE: '100' } });
const BAR_PAGE = '104455667788990';

beforeEach(async () => {
  app.sandbox.reset();
  await app.context.pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
});

describe('connecting and disconnecting at the same time', () => {
  it('ends in one of the two, whole, and never in an error', async () => {
    const browser = app.browser();
    const { id: userId } = await browser.register();
    await connect(browser, { pages: [BAR_PAGE] });
    for (let round = 0; round < 8; round++) {
      const { rows } = await app.context.pool.query<{ id: string }>('SELECT id FROM instagram_accounts');
      const callback = await visitDialog(browser, START, { pages: [BAR_PAGE] });
      const pause = new Promise((resolve) => setTimeout(resolve, round * 10));
      const [answer] = await Promise.all([
        browser.fetch(callback),
        pause.then(() => disconnect(app.context, userId, rows[0]!.id)),
      ]);
      // The disconnect may take the permissions away while the connect is reading: then that is what the page explains.
      expect(answer.status).toBe(303);
      const { rows: after } = await app.context.pool.query(
        `SELECT instagram_accounts.status AS account, meta_accounts.status AS login,
           user_token IS NULL AS erased, page_token IS NULL AS page_erased
         FROM instagram_accounts
         JOIN meta_accounts ON meta_accounts.id = meta_account_id
         JOIN pages ON pages.id = instagram_accounts.page_id`,
      );
      expect(after).toHaveLength(1);
      const [row] = after as { account: string; login: string; erased: boolean; page_erased: boolean }[];
      const isGone = row!.account === 'disconnected';
      expect(row).toMatchObject({ erased: isGone, page_erased: isGone });
      expect(row!.login === 'disconnected').toBe(isGone);
    }
  });
});
