import { type Request, type RequestHandler } from 'express';
import { type AppContext } from '../context';
import { UnauthorizedError } from '../errors';
import { findUser, type User } from '../models/users';
import { SESSION_LIFETIME_MS } from './session';

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- the way Express lets a request carry more
  namespace Express {
    interface Request {
      user?: User;
    }
  }
}

/** Puts the logged-in person on the request. Sessions past their absolute lifetime count as logged out. */
export function currentUser({ pool }: AppContext): RequestHandler {
  return async (req, res, next) => {
    const { userId, loggedInAt = 0 } = req.session;
    if (userId !== undefined && Date.now() - loggedInAt < SESSION_LIFETIME_MS) {
      const user = await findUser(pool, userId);
      if (user !== null) req.user = user;
    }
    res.locals['currentUser'] = req.user ?? null;
    next();
  };
}

/** @throws UnauthorizedError when nobody is logged in */
export function loggedInUser(req: Request): User {
  if (req.user === undefined) throw new UnauthorizedError();
  return req.user;
}
