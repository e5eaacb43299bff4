import { type RequestHandler } from 'express';
import { UnauthorizedError } from '../errors';
import { wantsJson } from './wantsJson';

export { loggedInUser } from './currentUser';

/** Sends people to the log-in form and back afterwards; programs get a 401. */
export const requireLogin: RequestHandler = (req, res, next) => {
  if (req.user !== undefined) next();
  else if (wantsJson(req)) throw new UnauthorizedError();
  else if (req.method === 'GET') res.redirect(`/auth/login?next=${encodeURIComponent(req.originalUrl)}`);
  else res.redirect(303, '/auth/login');
};
