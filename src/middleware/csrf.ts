import csurf from 'csurf';
import { type Request, type RequestHandler } from 'express';
import { type Config } from '../config';
import { ForbiddenError } from '../errors';

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Two independent guards for everything that changes something: what the browser says about where the request comes
 * from, and csurf's synchroniser token. csurf is archived; it lives in this file alone, with the token in the session
 * (its published weakness is in the cookie mode) and never read from the URL, from where it would leak.
 */
export function csrf(config: Config): RequestHandler[] {
  const protect = csurf({
    value: (req: Request) => {
      const body = req.body as { _csrf?: unknown } | undefined;
      return typeof body?._csrf === 'string' ? body._csrf : (req.get('X-CSRF-Token') ?? '');
    },
  });
  return [sameSiteOnly(config), tokenOnDemand(protect)];
}

/**
 * csurf opens a session for whoever passes through it. It is therefore asked only by what changes something, and by pages
 * that hold a form: those call `csrfToken()`.
 */
function tokenOnDemand(protect: RequestHandler): RequestHandler {
  return (req, res, next) => {
    res.locals['csrfToken'] = () => req.csrfToken();
    if (SAFE_METHODS.has(req.method)) {
      req.csrfToken = () => {
        protect(req, res, () => undefined); // replaces this function by its own
        return req.csrfToken();
      };
      next();
    } else if (!('csrfSecret' in req.session)) {
      throw new ForbiddenError('The form is too old or came from elsewhere.', 'csrf');
    } else protect(req, res, next);
  };
}

/** Browsers send Sec-Fetch-Site; older ones at least Origin. Programs send neither, and still need the token. */
function sameSiteOnly(config: Config): RequestHandler {
  const ownOrigin = new URL(config.baseUrl).origin;
  return (req, _res, next) => {
    const site = req.get('Sec-Fetch-Site');
    const origin = req.get('Origin');
    const isForeign =
      site !== undefined
        ? site !== 'same-origin' && site !== 'none'
        : origin !== undefined && origin !== ownOrigin;
    if (!SAFE_METHODS.has(req.method) && isForeign)
      throw new ForbiddenError('This request came from another site.', 'cross_site');
    next();
  };
}
