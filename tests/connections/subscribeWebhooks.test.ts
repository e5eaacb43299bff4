import { subscribeWebhooks } from '../../src/connections/subscribeWebhooks';
import { findAccount } from '../../src/models/instagramAccounts';
import { upsertWantedFields } from '../../src/models/webhookSubscriptions';
import { useApp } from '../support/app';
import { connect } from '../support/connect';

const app = useApp({ sandbox: true, env: { RATE_LIMIT_SCALE: '100' } });
const BAR_PAGE = '104455667788990';
let accountId: string;

beforeEach(async () => {
  app.sandbox.reset();
  await app.context.pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
  const browser = app.browser();
  await browser.register();
  await connect(browser, { pages: [BAR_PAGE] });
  const { rows } = await app.context.pool.query<{ id: string }>('SELECT id FROM instagram_accounts');
  accountId = rows[0]!.id;
});

const calls = () => app.sandbox.journal().filter(({ path }) => path.endsWith('/subscribed_apps')).length;
const change = (sql: string) => app.context.pool.query(sql);
async function state() {
  const account = await findAccount(app.context.pool, accountId);
  const { rows } = await app.context.pool.query<{ code: string | null }>(
    'SELECT error_code AS code FROM webhook_subscriptions WHERE instagram_account_id = $1',
    [accountId],
  );
  return { status: account!.status, code: account!.statusCode, subscription: rows[0]!.code };
}

describe('subscribeWebhooks', () => {
  it('heals a connection whose subscription was lost', async () => {
    app.sandbox.state.pages.find(({ id }) => id === BAR_PAGE)!.installs = [];
    await change(`UPDATE instagram_accounts SET status = 'webhooks_down', status_code = 'webhooks_missing'`);
    await upsertWantedFields(app.context.pool, accountId, ['feed']);
    expect(await subscribeWebhooks(app.context, accountId)).toBeNull();
    expect(await state()).toEqual({ status: 'active', code: null, subscription: null });
  });

  it('asks for a reconnect when the Page token is dead, which it checks first', async () => {
    app.sandbox.state.pages.find(({ id }) => id === BAR_PAGE)!.roles = [];
    expect(await subscribeWebhooks(app.context, accountId)).toBe('page_role_lost');
    expect(await state()).toMatchObject({ status: 'needs_reconnect', code: 'page_role_lost' });
    expect(app.sandbox.journal().at(-1)!.path).toBe('/debug_token');
  });

  it('does not believe a 190 that debug_token contradicts', async () => {
    app.sandbox.addFault({ match: { path: '/*/subscribed_apps' }, action: 'token_expired' });
    expect(await subscribeWebhooks(app.context, accountId)).toBe('webhooks_unconfirmed');
    expect(await state()).toMatchObject({ status: 'webhooks_down' });
  });

  it('makes no call with a damaged token', async () => {
    await change(`UPDATE pages SET page_token = left(page_token, 40)`);
    const before = calls();
    expect(await subscribeWebhooks(app.context, accountId)).toBe('token_unreadable');
    expect(await state()).toMatchObject({ status: 'needs_reconnect', code: 'token_unreadable' });
    expect(calls()).toBe(before);
  });

  it('leaves a login alone that needs a reconnect, and an account that is disconnected', async () => {
    await change(`UPDATE meta_accounts SET status = 'needs_reconnect'`);
    await change(`UPDATE instagram_accounts SET status = 'needs_reconnect', status_code = 'token_expired'`);
    await subscribeWebhooks(app.context, accountId);
    expect(await state()).toMatchObject({ status: 'needs_reconnect', code: 'token_expired' });
    await change(`UPDATE instagram_accounts SET status = 'disconnected'`);
    const before = calls();
    await subscribeWebhooks(app.context, accountId);
    expect(calls()).toBe(before);
  });
});
