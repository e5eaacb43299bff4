import { type RequestListener } from 'node:http';
import path from 'node:path';
import compression from 'compression';
import express from 'express';
import { type AppContext } from './context';
import { BadRequestError } from './errors';
import { createReceiver } from './intake/receiver';
import { csrf } from './middleware/csrf';
import { currentUser } from './middleware/currentUser';
import { errorHandler, notFound } from './middleware/errorHandler';
import { flashMessages } from './middleware/flash';
import { language } from './middleware/language';
import { operatorAccess } from './middleware/operatorAccess';
import { pageLocals } from './middleware/pageLocals';
import { requestLog } from './middleware/requestLog';
import { security } from './middleware/security';
import { sessions } from './middleware/session';
import { accountRoutes } from './routes/accounts';
import { adminRoutes } from './routes/admin';
import { authRoutes } from './routes/auth';
import { bulkRetryRoutes } from './routes/bulkRetries';
import { bulkRetryApiRoutes } from './routes/bulkRetryApi';
import { dashboardRoutes } from './routes/dashboard';
import { eventApiRoutes } from './routes/eventApi';
import { eventRoutes } from './routes/events';
import { healthRoutes } from './routes/health';
import { metaCallbackRoutes } from './routes/metaCallbacks';
import { oauthRoutes } from './routes/oauth';
import { operationsRoutes } from './routes/operations';
import { siteRoutes } from './routes/site';
import { webhookRoutes } from './routes/webhook';
import { PUBLIC_DIR, VIEWS_DIR } from './utils/paths';

export interface AppState {
  /** Set on SIGTERM: health answers 503, and every answer closes its connection. */
  isShuttingDown: boolean;
}

const FORM_LIMIT = '100kb';
const FONTS_DIR = path.join(
  path.dirname(require.resolve('@fontsource-variable/inter/package.json')),
  'files',
);

/** The site, in the order in which a request meets its parts. Never listens. */
export function createApp(context: AppContext, state: AppState = { isShuttingDown: false }): RequestListener {
  const { config } = context;
  const app = express();
  const receiveDelivery = createReceiver(context, () => state.isShuttingDown);
  app.set('views', VIEWS_DIR);
  app.set('view engine', 'ejs');
  app.set('view cache', config.isProduction);
  // nginx on this machine is the one proxy whose X-Forwarded-* counts.
  app.set('trust proxy', 'loopback');
  app.disable('x-powered-by');

  app.use(requestLog);
  app.use((req, _res, next) => {
    // `OPTIONS *` and whole addresses are for proxies; sessions and routes understand paths alone.
    if (!req.originalUrl.startsWith('/')) throw new BadRequestError('The request target must be a path.');
    next();
  });
  app.use((_req, res, next) => {
    if (state.isShuttingDown) res.setHeader('Connection', 'close');
    next();
  });
  app.use(security(config));

  // Called by machines that have no cookie; a session or CSRF check above would open one for each call.
  app.use(healthRoutes(context, () => state.isShuttingDown));
  app.post('/webhook', receiveDelivery);
  app.use(webhookRoutes(context));

  app.use(compression());
  const maxAge = config.isProduction ? '1h' : 0;
  app.use('/fonts', express.static(FONTS_DIR, { maxAge: '30d', index: false }));
  app.use(express.static(PUBLIC_DIR, { maxAge, index: false }));
  app.use(language(config));
  app.use(pageLocals());
  app.use(metaCallbackRoutes(context));

  app.use(express.urlencoded({ extended: false, limit: FORM_LIMIT }));
  app.use(express.json({ limit: FORM_LIMIT }));
  app.use((_req, res, next) => {
    res.setHeader('Cache-Control', 'no-store');
    next();
  });
  app.use(sessions(context));
  app.use(['/metrics', '/alerts'], operatorAccess(context));
  app.use(operationsRoutes(context));
  app.use(csrf(config));
  app.use(flashMessages);
  app.use(currentUser(context));

  app.use(siteRoutes(context));
  app.use(authRoutes(context));
  app.use(dashboardRoutes(context));
  app.use(oauthRoutes(context));
  app.use(accountRoutes(context));
  app.use(bulkRetryRoutes(context));
  app.use(eventRoutes(context));
  app.use(bulkRetryApiRoutes(context));
  app.use(eventApiRoutes(context));
  app.use(adminRoutes(context));
  app.use(notFound);
  app.use(errorHandler);
  // A delivery needs nothing of all this, and finding its way through takes as long as reading it.
  return (req, res) => {
    if (req.method === 'POST' && req.url === '/webhook') receiveDelivery(req, res);
    else app(req, res);
  };
}
