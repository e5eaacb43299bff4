import { watchSubscriptions } from '../../src/connections/watchSubscriptions';
import { logger } from '../../src/utils/logger';
import { useApp } from '../support/app';
import { connect, START } from '../support/connect';

const app = useApp({ sandbox: true, env: { RATE_LIMIT_SCALE: '100' } });
const BAR_PAGE = '104455667788990';
const neverStop = new AbortController().signal;

beforeEach(async () => {
  app.sandbox.reset();
  await app.context.pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
  const browser = app.browser();
  await browser.register();
  await connect(browser, { pages: [BAR_PAGE] });
});

const barPage = () => app.sandbox.state.pages.find(({ id }) => id === BAR_PAGE)!;
const anHourPasses = () =>
  app.context.pool.query(`UPDATE webhook_subscriptions SET checked_at = checked_at - interval '1 hour'`);
const status = async () =>
  (await app.context.pool.query<{ status: string }>('SELECT status FROM instagram_accounts')).rows[0]!.status;
const asked = () => app.sandbox.journal().filter(({ path }) => path.endsWith('/subscribed_apps'));

describe('watchSubscriptions', () => {
  it('only looks when all is well, and once an hour', async () => {
    const before = asked().length;
    expect(await watchSubscriptions(app.context, neverStop)).toEqual({
      confirmed: 0,
      repaired: 0,
      failed: 0,
    });
    await anHourPasses();
    expect(await watchSubscriptions(app.context, neverStop)).toEqual({
      confirmed: 1,
      repaired: 0,
      failed: 0,
    });
    expect(
      asked()
        .slice(before)
        .map(({ method }) => method),
    ).toEqual(['GET']);
  });

  it('puts back what Meta dropped', async () => {
    barPage().installs = [];
    await anHourPasses();
    expect(await watchSubscriptions(app.context, neverStop)).toEqual({
      confirmed: 0,
      repaired: 1,
      failed: 0,
    });
    expect(barPage().installs).toHaveLength(1);
    expect(await status()).toBe('active');
  });

  it('finishes what a connect could not, as soon as Meta answers again', async () => {
    await app.context.pool.query(`UPDATE instagram_accounts SET status = 'webhooks_down'`);
    app.sandbox.addFault({ match: { path: '/*/subscribed_apps' }, action: 'transient' });
    expect(await watchSubscriptions(app.context, neverStop)).toMatchObject({ failed: 1 });
    expect(await status()).toBe('webhooks_down');
    app.sandbox.clearFaults();
    expect(await watchSubscriptions(app.context, neverStop)).toMatchObject({ confirmed: 1 });
    expect(await status()).toBe('active');
  });

  it('changes nothing when Meta cannot be asked', async () => {
    await anHourPasses();
    app.sandbox.addFault({ match: { path: '/*/subscribed_apps' }, action: 'drop' });
    expect(await watchSubscriptions(app.context, neverStop)).toMatchObject({ failed: 1 });
    expect(await status()).toBe('active');
    const { rows } = await app.context.pool.query('SELECT confirmed FROM webhook_subscriptions');
    expect(rows).toEqual([{ confirmed: ['feed'] }]);
  });

  it('looks at the others when one breaks off', async () => {
    await app.context.pool.query('TRUNCATE users, interactions, webhook_events CASCADE');
    const browser = app.browser();
    await browser.register();
    await connect(browser, {}, `${START}&rerequest=1`);
    await anHourPasses();
    const { graph } = app.context;
    const get: typeof graph.get = (call) =>
      call.path.startsWith(`/${BAR_PAGE}/`) ? Promise.reject(new Error('a bug')) : graph.get(call);
    const log = jest.spyOn(logger, 'error');
    const summary = await watchSubscriptions({ ...app.context, graph: { ...graph, get } }, neverStop);
    expect(summary).toEqual({ confirmed: 1, repaired: 0, failed: 1 });
    expect(log).toHaveBeenCalledTimes(1);
    log.mockRestore();
  });

  it('leaves dead and ended connections alone', async () => {
    for (const state of ['needs_reconnect', 'disconnected']) {
      await app.context.pool.query('UPDATE instagram_accounts SET status = $1', [state]);
      await anHourPasses();
      const before = asked().length;
      await watchSubscriptions(app.context, neverStop);
      expect(asked()).toHaveLength(before);
    }
  });
});
