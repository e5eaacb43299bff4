import { type Request, type Response, Router } from 'express';
import { type TFunction } from 'i18next';
import { z } from 'zod';
import { connectFacebook, type Connected } from '../connections/connectFacebook';
import {
  type ConnectFailure,
  connectFailure,
  ConnectError,
  failureOfCall,
} from '../connections/connectFailure';
import { issueState, takeState } from '../connections/oauthState';
import { type AppContext } from '../context';
import { BadRequestError, NotFoundError, UnauthorizedError } from '../errors';
import { explainFailure } from '../failures';
import { MetaApiError } from '../meta/errors';
import { facebookDialogUrl } from '../meta/facebookLogin';
import { flash } from '../middleware/flash';
import { rateLimit } from '../middleware/rateLimits';
import { loggedInUser, requireLogin } from '../middleware/requireLogin';
import { wantsJson } from '../middleware/wantsJson';
import { findAccountOfUser } from '../models/instagramAccounts';
import { logger } from '../utils/logger';

declare module 'express-session' {
  interface SessionData {
    /** Why the last visit to Meta failed, until one succeeds. */
    connectFailure: ConnectFailure;
  }
}

const StartSchema = z.object({
  provider: z.enum(['facebook', 'instagram']),
  account: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional(),
  rerequest: z.literal('1').optional(),
});

export function oauthRoutes(context: AppContext): Router {
  const { config, pool } = context;
  const router = Router();
  const starts = rateLimit(context, 'oauth-start', { points: 60, seconds: 900 });

  router.get('/oauth/start', async (req, res) => {
    const query = readStart(req);
    if (req.user === undefined && !wantsJson(req)) {
      res.redirect(`/auth/login?next=${encodeURIComponent(withQuery('/oauth/continue', query))}`);
      return;
    }
    const { provider, account: accountId = null, rerequest } = query;
    const { id: userId } = loggedInUser(req);
    await starts.consume(userId);
    const account = accountId === null ? null : await findAccountOfUser(pool, userId, accountId);
    if (accountId !== null && account === null) throw new NotFoundError();
    if (provider === 'instagram') {
      fail(req, res, connectFailure('provider_off', { accountId }));
      return;
    }
    const state = await issueState(context, { userId, sessionId: req.sessionID }, { provider, accountId });
    const readableUntil = account?.dataAccessExpiresAt ?? null;
    const hasEnded = readableUntil !== null && readableUntil <= new Date();
    const authType = rerequest === '1' ? 'rerequest' : hasEnded ? 'reauthorize' : null;
    res.redirect(facebookDialogUrl(config.meta, { state, redirectUri: config.oauthRedirectUri, authType }));
  });

  // A form may not lead to another site (form-action), not even by redirects: between log-in and dialog lies a page.
  router.get('/oauth/continue', requireLogin, (req, res) => {
    res.render('continue', { href: withQuery('/oauth/start', readStart(req)) });
  });

  router.get('/oauth/callback', async (req, res) => {
    if (req.user === undefined) {
      // Logging in makes a new session, to which the state does not belong: it stays unused, and the visit starts anew.
      if (wantsJson(req)) throw new UnauthorizedError();
      res.redirect('/auth/login?next=%2Faccounts');
      return;
    }
    const { state, code, error, error_code: errorCode } = req.query;
    if ([state, code, error, errorCode].every((value) => value === undefined)) {
      showFailure(res, 400, connectFailure('nothing_received'));
      return;
    }
    const { id: userId } = req.user;
    const visit = await takeState(context, { userId, sessionId: req.sessionID }, state);
    if ('problem' in visit) {
      logger.warn('oauth state refused', { userId, problem: visit.problem });
      showFailure(res, visit.problem === 'state_malformed' ? 400 : 403, connectFailure(visit.problem));
      return;
    }
    const { accountId } = visit;
    if (error !== undefined || errorCode !== undefined) {
      fail(req, res, refusedByDialog(req, accountId));
    } else if (typeof code !== 'string' || code === '' || code.length > LONGEST_CODE) {
      showFailure(res, 400, connectFailure('nothing_received', { accountId }));
    } else {
      await connect(req, res, { userId, code: code.split('#')[0] ?? '', accountId });
    }
  });

  /** What happened is told on a page of its own, which a reload may show again without using the code again. */
  async function connect(
    req: Request,
    res: Response,
    request: Parameters<typeof connectFacebook>[1],
  ): Promise<void> {
    try {
      announce(req, await connectFacebook(context, request));
      delete req.session.connectFailure;
      res.redirect(303, '/accounts');
    } catch (error) {
      if (error instanceof ConnectError) fail(req, res, { ...error.failure, accountId: request.accountId });
      else if (error instanceof MetaApiError) {
        fail(req, res, { ...failureOfCall(error), accountId: request.accountId });
      } else throw error;
    }
  }

  router.get('/oauth/failed', requireLogin, (req, res) => {
    const failure = req.session.connectFailure;
    if (failure === undefined) res.redirect('/accounts');
    else showFailure(res, 200, failure);
  });

  return router;
}

const LONGEST_CODE = 4096;

/** @throws BadRequestError */
function readStart(req: Request): z.infer<typeof StartSchema> {
  const query = StartSchema.safeParse(req.query);
  if (!query.success) throw new BadRequestError('This address needs ?provider=facebook.', 'provider_missing');
  return query.data;
}

function withQuery(path: string, query: z.infer<typeof StartSchema>): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return `${path}?${new URLSearchParams(given).toString()}`;
}

function fail(req: Request, res: Response, failure: ConnectFailure): void {
  logger.warn('connecting failed', { userId: req.user?.id, failure: failure.code, details: failure.details });
  req.session.connectFailure = failure;
  res.redirect(303, '/oauth/failed');
}

function showFailure(res: Response, status: number, failure: ConnectFailure): void {
  const t = res.locals['t'] as TFunction;
  const { code, accountId, at, details, findings } = failure;
  const lines = [`time: ${at}`, ...Object.entries(details).map(([name, value]) => `${name}: ${value}`)];
  const subjects = [...new Set(findings.map(({ page }) => page))];
  res.status(status).render('connect-failed', {
    failure: explainFailure(t, code, { accountId, details: lines.join('\n') }),
    groups: subjects.map((subject) => ({
      title: subject === null ? t('oauth:failed.general') : t('oauth:failed.page', { page: subject }),
      lines: findings
        .filter(({ page }) => page === subject)
        .map(({ key, state }) => ({ state, text: t(`oauth:finding.${key}`) })),
    })),
  });
}

const DIALOG_FIELDS = ['error', 'error_reason', 'error_code', 'error_description', 'error_message'] as const;

/** Meta's parameters are free text that anybody can write into an address: shown as details only. */
function refusedByDialog({ query }: Request, accountId: string | null): ConnectFailure {
  const details = Object.fromEntries(
    DIALOG_FIELDS.flatMap((name) => {
      const value = query[name];
      return typeof value === 'string' ? [[name, value.slice(0, 200)]] : [];
    }),
  );
  return connectFailure(query['error'] === 'access_denied' ? 'login_cancelled' : 'login_error', {
    accountId,
    details,
  });
}

function announce(req: Request, { accounts, ownedByOthers }: Connected): void {
  const names = (list: string[]) => list.map((name) => `@${name}`).join(', ');
  flash(req, 'success', 'oauth:flash.connected', {
    accounts: names(accounts.map(({ username }) => username)),
  });
  if (ownedByOthers.length > 0) flash(req, 'info', 'oauth:flash.owned', { accounts: names(ownedByOthers) });
}
