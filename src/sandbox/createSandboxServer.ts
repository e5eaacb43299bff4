import express, { Router, type Express, type NextFunction, type Request, type Response } from 'express';

import { controlApi, type ControlActions } from './control/api';
import { requireLoopback, requireOwnPage } from './control/guard';
import { controlUi } from './control/ui';
import { facebookDialog } from './dialog/facebookDialog';
import { envelope } from './graph/errors';
import { facebookGraphRoutes } from './graph/facebookGraph';
import { graphHost } from './graph/graphHost';
import { ASSETS_DIR, FONT_FILE, VIEWS_DIR } from './paths';
import { type World } from './world';

/** Every host of Meta under a path prefix, and the control routes beside them. */
export function createSandboxServer(world: World, actions: ControlActions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('views', VIEWS_DIR);
  app.set('view engine', 'ejs');
  app.use(secureHeaders(world));

  // Its secrets are public: only programs and pages of this machine may speak to it.
  app.use(requireLoopback, requireOwnPage);
  app.use('/www.facebook.com', facebookDialog(world));
  app.use('/graph.facebook.com', graphHost(world, 'graph.facebook.com', facebookGraphRoutes));
  app.use('/cdn', cdn(world));

  app.use('/_sandbox/assets', express.static(ASSETS_DIR));
  app.get('/_sandbox/assets/inter.woff2', (_req, res) => {
    res.sendFile(FONT_FILE, { maxAge: '30d' });
  });
  app.use('/_sandbox/ui', controlUi(world, actions));
  app.use('/_sandbox', controlApi(world, actions));
  app.get('/', (_req, res) => {
    res.redirect('/_sandbox/ui');
  });
  app.get('/favicon.ico', (_req, res) => {
    res.redirect('/_sandbox/assets/icon.svg');
  });

  app.use((req, res) => {
    res.status(400).json(envelope({ code: 2500, message: `Unknown path components: ${req.path}` }));
  });
  app.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
    world.log(`sandbox: ${error instanceof Error ? error.message : String(error)}`);
    if (res.headersSent) next(error);
    else res.status(400).json(envelope({ code: 1, message: 'Invalid request' }));
  });
  return app;
}

/** The consent page is left by a redirect, so its forms must be allowed to lead back to the app. */
function secureHeaders(world: World) {
  return (_req: Request, res: Response, next: NextFunction): void => {
    const targets = new Set(world.state.app.redirectUris.map((uri) => new URL(uri).origin));
    res.set({
      'Content-Security-Policy':
        "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; " +
        `frame-ancestors 'none'; form-action 'self' ${[...targets].join(' ')}`,
      'Referrer-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
      'X-Frame-Options': 'DENY',
    });
    next();
  };
}

/** Pictures at addresses that run out, like those of the real CDN. */
function cdn(world: World): Router {
  const router = Router();
  router.get('/:name', (req, res) => {
    const { oe } = req.query;
    if (typeof oe === 'string' && parseInt(oe, 16) * 1000 < world.now()) {
      res.status(403).type('text').send('URL signature expired');
      return;
    }
    const hue = Buffer.from(req.params.name).reduce((sum, byte) => sum + byte, 0) % 360;
    res
      .type('svg')
      .send(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 320">' +
          `<rect width="320" height="320" fill="hsl(${hue} 45% 72%)"/>` +
          `<circle cx="160" cy="130" r="56" fill="hsl(${hue} 50% 88%)"/>` +
          `<path d="M48 320a112 112 0 0 1 224 0z" fill="hsl(${hue} 50% 88%)"/></svg>`,
      );
  });
  return router;
}
