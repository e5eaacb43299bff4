import { maintain } from '../../src/jobs/maintenance';
import { useApp } from '../support/app';
import { connect } from '../support/connect';

const app = useApp({ sandbox: true });
const BAR_PAGE = '104455667788990';

it('repairs a subscription that Meta dropped, forgets old visits to its dialog, and removes what is too old', async () => {
  const { pool } = app.context;
  const browser = app.browser();
  await browser.register();
  await connect(browser, { pages: [BAR_PAGE] });
  await pool.query(`UPDATE oauth_states SET expires_at = now() - interval '2 days'`);
  await pool.query(`UPDATE webhook_subscriptions SET checked_at = checked_at - interval '1 hour'`);
  await pool.query(
    `INSERT INTO webhook_deliveries (received_at, body, body_sha256, signed_by, event_count)
     VALUES (now() - interval '40 days', '', '', 'meta', 0)`,
  );
  app.sandbox.state.pages.find(({ id }) => id === BAR_PAGE)!.installs = [];

  expect(await maintain(app.context, new AbortController().signal)).toMatchObject({
    expiredStates: 1,
    subscriptionsConfirmed: 0,
    subscriptionsRepaired: 1,
    subscriptionsUnclear: 0,
    bodiesEmptied: 1,
    stepsLeft: 0,
  });
});
