import { createHash, timingSafeEqual } from 'node:crypto';
import { type Request, type RequestHandler } from 'express';
import { type AppContext } from '../context';
import { NotFoundError } from '../errors';
import { findSessionUser } from './currentUser';

const LOOPBACK = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);
const FORWARDING_HEADERS = [
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'forwarded',
  'via',
];

/** A bearer token, an operator's session, or a program on this very machine. Everybody else learns nothing: 404. */
export function operatorAccess({ config, pool }: AppContext): RequestHandler {
  return async (req, _res, next) => {
    if (isLocal(req) || hasToken(req, config.operatorToken)) {
      next();
      return;
    }
    const user = await findSessionUser(pool, req);
    if (user?.role !== 'operator') throw new NotFoundError();
    next();
  };
}

function isLocal(req: Request): boolean {
  return (
    LOOPBACK.has(req.socket.remoteAddress ?? '') &&
    FORWARDING_HEADERS.every((name) => req.headers[name] === undefined)
  );
}

function hasToken(req: Request, token: string | null): boolean {
  const given = /^Bearer (.+)$/i.exec(req.get('Authorization') ?? '')?.[1];
  if (token === null || given === undefined) return false;
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(given), digest(token));
}
