import { type Request, type RequestHandler } from 'express';
import { type AppContext } from '../context';
import { type Db } from '../db/query';
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

/** Puts the logged-in person on the request. */
export function currentUser({ pool }: AppContext): RequestHandler {
  return async (req, res, next) => {
    const user = await findSessionUser(pool, req);
    if (user !== null) req.user = user;
    res.locals['currentUser'] = user;
    next();
  };
}

/** Null when nobody is logged in; sessions past their absolute lifetime count as logged out. */
export async function findSessionUser(db: Db, req: Request): Promise<User | null> {
  const { userId, loggedInAt = 0 } = req.session;
  return userId !== undefined && Date.now() - loggedInAt < SESSION_LIFETIME_MS ? findUser(db, userId) : null;
}
