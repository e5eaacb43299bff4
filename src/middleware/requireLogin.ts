import { type Request, type RequestHandler } from 'express';
import { UnauthorizedError } from '../errors';
import { type User } from '../models/users';
import { wantsJson } from './wantsJson';

/** Sends people to the log-in form and back afterwards; programs get a 401. */
export const requireLogin: RequestHandler = (req, res, next) => {
  if (req.user !== undefined) next();
  else if (wantsJson(req)) throw new UnauthorizedError();
  else if (req.method === 'GET') res.redirect(`/auth/login?next=${encodeURIComponent(req.originalUrl)}`);
  else res.redirect(303, '/auth/login');
};

/** @throws UnauthorizedError when nobody is logged in */
export function loggedInUser(req: Request): User {
  if (req.user === undefined) throw new UnauthorizedError();
  return req.user;
}
