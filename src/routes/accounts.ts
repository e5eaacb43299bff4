import { type Request, type Response, Router } from 'express';
import { type TFunction } from 'i18next';
import { type CheckLine, checkConnection } from '../connections/checkConnection';
import { disconnect } from '../connections/disconnect';
import { REFRESH_LEASE_SECONDS, refreshToken } from '../connections/refreshToken';
import { subscribeWebhooks } from '../connections/subscribeWebhooks';
import { type AppContext } from '../context';
import { NotFoundError } from '../errors';
import { flash } from '../middleware/flash';
import { rateLimit } from '../middleware/rateLimits';
import { loggedInUser, requireLogin } from '../middleware/requireLogin';
import { findAccountOfUser, listAccountsByUser, type WholeAccount } from '../models/instagramAccounts';
import { listRefreshAttempts } from '../models/tokenRefreshLog';
import { claimRefresh, type ClaimObstacle } from '../models/tokenRefreshes';
import { type Format } from '../utils/format';
import { accountJson, accountView, attemptView, checkView, obstacle } from './accountViews';

declare module 'express-session' {
  interface SessionData {
    /** What "Check now" found last, for the page it leads to. */
    lastCheck: { accountId: string; at: string; lines: CheckLine[] };
  }
}

const SHOWN_ATTEMPTS = 5;
const OBSTACLE_TEXTS: Record<ClaimObstacle, string> = {
  ended: 'accounts:why.dead',
  young: 'accounts:why.young',
  busy: 'accounts:flash.refresh.busy',
};

export function accountRoutes(context: AppContext): Router {
  const { config, pool } = context;
  const router = Router();
  const actions = rateLimit(context, 'account-actions', { points: 60, seconds: 300 });
  router.use(['/accounts', '/api/accounts'], requireLogin);

  router.get('/accounts', async (req, res) => {
    const t = res.locals['t'] as TFunction;
    const accounts = await listAccountsByUser(pool, loggedInUser(req).id);
    res.render('accounts', { accounts: accounts.map((account) => accountView(t, account, config)) });
  });

  router.get('/accounts/:id', async (req, res) => {
    const { t, format } = res.locals as { t: TFunction; format: Format };
    const account = await ownAccount(req);
    const attempts = await listRefreshAttempts(pool, account.metaAccountId, SHOWN_ATTEMPTS);
    const { lastCheck } = req.session;
    res.render('account', {
      account: accountView(t, account, config),
      attempts: attempts.map((attempt) => attemptView(t, attempt)),
      check: lastCheck?.accountId === account.id ? checkView(t, format, lastCheck) : null,
    });
  });

  router.post('/accounts/:id/check', async (req, res) => {
    const account = await begin(req, res, 'check');
    if (account === null) return;
    const lines = await checkConnection(context, account);
    req.session.lastCheck = { accountId: account.id, at: new Date().toISOString(), lines };
    const isFine = lines.every(({ state }) => state === 'passed' || state === 'unknown');
    flash(
      req,
      isFine ? 'success' : 'error',
      isFine ? 'accounts:flash.checkPassed' : 'accounts:flash.checkFailed',
    );
    res.redirect(303, `/accounts/${account.id}`);
  });

  router.post('/accounts/:id/refresh', async (req, res) => {
    const account = await begin(req, res, 'refresh');
    if (account === null) return;
    const claim = await claimRefresh(pool, account.metaAccountId, REFRESH_LEASE_SECONDS);
    if (typeof claim === 'string') {
      flash(req, 'info', OBSTACLE_TEXTS[claim]);
      res.redirect(303, `/accounts/${account.id}`);
      return;
    }
    const { outcome } = await refreshToken(context, claim);
    const kind = outcome === 'refreshed' ? 'success' : outcome === 'unchanged' ? 'info' : 'error';
    flash(req, kind, `accounts:flash.refresh.${outcome}`);
    res.redirect(303, `/accounts/${account.id}`);
  });

  router.post('/accounts/:id/resubscribe', async (req, res) => {
    const account = await begin(req, res, 'resubscribe');
    if (account === null) return;
    await subscribeWebhooks(context, account.id, AbortSignal.timeout(SUBSCRIBE_TIMEOUT_MS));
    const after = await findAccountOfUser(pool, account.userId, account.id);
    const isConfirmed = after !== null && after.subscriptionCode === null;
    flash(
      req,
      isConfirmed ? 'success' : 'error',
      `accounts:flash.${isConfirmed ? 'subscribed' : 'notSubscribed'}`,
    );
    res.redirect(303, `/accounts/${account.id}`);
  });

  router.post('/accounts/:id/disconnect', async (req, res) => {
    const account = await begin(req, res, 'disconnect');
    if (account === null) return;
    await disconnect(context, account.userId, account.id);
    flash(req, 'success', 'accounts:flash.disconnected', { username: account.username });
    res.redirect(303, '/accounts');
  });

  router.get('/api/accounts', async (req, res) => {
    const accounts = await listAccountsByUser(pool, loggedInUser(req).id);
    res.json({ accounts: accounts.map((account) => accountJson(account, config)) });
  });

  router.get('/api/accounts/:id', async (req, res) => {
    const account = await ownAccount(req);
    const refreshAttempts = await listRefreshAttempts(pool, account.metaAccountId, SHOWN_ATTEMPTS);
    res.json({
      ...accountJson(account, config),
      refreshAttempts: refreshAttempts.map(({ errorMessage: _, ...attempt }) => attempt),
    });
  });

  /** @throws NotFoundError also when it is somebody else's */
  async function ownAccount(req: Request): Promise<WholeAccount> {
    const { id } = req.params;
    const isId = typeof id === 'string' && /^\d{1,18}$/.test(id);
    const account = isId ? await findAccountOfUser(pool, loggedInUser(req).id, id) : null;
    if (account === null) throw new NotFoundError();
    return account;
  }

  /** The account an action is meant for; null when the action makes no sense now and the answer already says why. */
  async function begin(
    req: Request,
    res: Response,
    action: Parameters<typeof obstacle>[1],
  ): Promise<WholeAccount | null> {
    const account = await ownAccount(req);
    await actions.consume(account.userId);
    const why = obstacle(account, action);
    if (why === null) return account;
    flash(req, 'info', `accounts:why.${why}`);
    res.redirect(303, `/accounts/${account.id}`);
    return null;
  }

  return router;
}

const SUBSCRIBE_TIMEOUT_MS = 10_000;
