import { createHash } from 'node:crypto';
import connectPgSimple from 'connect-pg-simple';
import { type Request, type RequestHandler } from 'express';
import session from 'express-session';
import { type Pool } from 'pg';
import { type Config } from '../config';
import { type AppContext } from '../context';
import { updateSession } from '../models/sessions';
import { logger } from '../utils/logger';

declare module 'express-session' {
  interface SessionData {
    userId: string;
    /** Milliseconds since 1970: the log-in, from which the absolute lifetime counts. */
    loggedInAt: number;
    /** Set when it is first written. */
    isStored: boolean;
    flash: { kind: 'success' | 'error' | 'info'; key: string; values: Record<string, string> }[];
  }
}

const DAY_MS = 86_400_000;
/** From log-in, whether used or not. */
export const SESSION_LIFETIME_MS = 30 * DAY_MS;
/** Before log-in there is only a form to protect. */
const VISITOR_LIFETIME_MS = DAY_MS;

/** Sessions in PostgreSQL. The cookie holds the id; the table only its hash. */
export function sessions({ config, pool }: AppContext): RequestHandler {
  const store = new HashedIdStore(pool);
  const { name, ...cookie } = sessionCookie(config);
  return session({
    store,
    name,
    secret: [...config.sessionSecrets],
    resave: false,
    saveUninitialized: false,
    cookie: { ...cookie, maxAge: VISITOR_LIFETIME_MS },
  });
}

/** Over https browsers hold the name to its promise: this host only, never over plain http. */
export function sessionCookie({ baseUrl }: Config) {
  const secure = baseUrl.startsWith('https:');
  const name = secure ? '__Host-session' : 'session';
  return { name, httpOnly: true, sameSite: 'lax', secure, path: '/' } as const;
}

/** A new session id at log-in: one that somebody planted before is worth nothing after. */
export async function startSession(req: Request, userId: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    req.session.regenerate((error?: Error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  req.session.userId = userId;
  req.session.loggedInAt = Date.now();
  req.session.cookie.maxAge = SESSION_LIFETIME_MS;
  await saveSession(req);
}

/** Written before the answer is sent, so that the page a redirect leads to finds it. */
export async function saveSession(req: Request): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    req.session.save((error?: Error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

export async function endSession(req: Request): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    req.session.destroy((error?: Error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

export function hashSessionId(sid: string): Buffer {
  return createHash('sha256').update(sid).digest();
}

/**
 * connect-pg-simple writes with an upsert, by which a request still running would bring back a session that was ended
 * meanwhile. A session that was stored once is therefore only updated.
 */
class HashedIdStore extends connectPgSimple(session) {
  constructor(private readonly pool: Pool) {
    super({
      pool,
      tableName: 'sessions',
      disableTouch: true,
      errorLog: (problem: unknown) => logger.warn('session store', { problem: String(problem) }),
    });
  }

  override get(sid: string, callback: (error: unknown, data?: session.SessionData | null) => void): void {
    super.get(hashSessionId(sid).toString('hex'), callback);
  }

  override set(sid: string, data: session.SessionData, callback?: (error?: unknown) => void): void {
    const id = hashSessionId(sid).toString('hex');
    if (!(data as Partial<session.SessionData>).isStored) {
      super.set(id, { ...data, isStored: true }, callback);
      return;
    }
    updateSession(this.pool, id, data, data.cookie.maxAge ?? VISITOR_LIFETIME_MS).then(
      () => callback?.(),
      (error: unknown) => callback?.(error),
    );
  }

  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    super.destroy(hashSessionId(sid).toString('hex'), callback);
  }
}
