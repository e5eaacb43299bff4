import { type Request, type Response, Router } from 'express';
import { type TFunction } from 'i18next';
import { z } from 'zod';
import { type AppContext } from '../context';
import { type RateLimit, rateLimit } from '../middleware/rateLimits';
import { endSession, sessionCookie, startSession } from '../middleware/session';
import { wantsJson } from '../middleware/wantsJson';
import { recordAudit } from '../models/auditLog';
import { createUser, findUserWithPassword, normalizeEmail, recordLogin } from '../models/users';
import {
  hashPassword,
  MAX_PASSWORD_BYTES,
  MIN_PASSWORD_CHARACTERS,
  needsRehash,
  verifyPassword,
} from '../utils/passwords';
import { ownPath } from '../utils/paths';

/** Messages are keys of the catalogue. */
const EmailSchema = z
  .string('forms:emailMissing')
  .trim()
  .min(1, 'forms:emailMissing')
  .max(254, 'forms:emailInvalid')
  .refine((email) => z.email().safeParse(normalizeEmail(email)).success, 'forms:emailInvalid');
const NewPasswordSchema = z
  .string('forms:passwordMissing')
  .min(1, 'forms:passwordMissing')
  .refine(
    (password) => password === '' || Array.from(password).length >= MIN_PASSWORD_CHARACTERS,
    'forms:passwordShort',
  )
  .refine((password) => Buffer.byteLength(password) <= MAX_PASSWORD_BYTES, 'forms:passwordLong')
  .refine((password) => !password.includes('\0'), 'forms:passwordInvalid');
const RegisterFormSchema = z.object({ email: EmailSchema, password: NewPasswordSchema });
const LoginFormSchema = z.object({ email: z.string().max(1000), password: z.string().max(10_000) });

export function authRoutes(context: AppContext): Router {
  const { pool, config } = context;
  const router = Router();
  const registrations = rateLimit(context, 'register', { points: 20, seconds: 3600 });
  const triesPerAccount = rateLimit(context, 'login', { points: 10, seconds: 900 });
  const triesPerAddress = rateLimit(context, 'login-ip', { points: 100, seconds: 900 });

  router.get('/auth/status', (req, res) => {
    const csrfToken = req.csrfToken();
    res.json(
      req.user === undefined
        ? { authenticated: false, csrfToken }
        : { authenticated: true, user: req.user, csrfToken },
    );
  });

  router.get('/auth/register', (req, res) => {
    if (req.user !== undefined) res.redirect('/dashboard');
    else res.render('register', { form: { email: '' }, errors: {} });
  });

  router.post('/auth/register', async (req, res) => {
    const t = res.locals['t'] as TFunction;
    const form = RegisterFormSchema.safeParse(req.body ?? {});
    if (!form.success) {
      const errors = translated(z.flattenError(form.error).fieldErrors, t);
      showAgain(req, res, { status: 422, code: 'invalid_form', view: 'register', errors });
      return;
    }
    await registrations.consume(clientKey(req));
    const passwordHash = await hashPassword(form.data.password, config.bcryptRounds);
    const user = await createUser(pool, form.data.email, passwordHash);
    if (user === null) {
      const errors = { email: [t('forms:emailTaken')] };
      showAgain(req, res, { status: 409, code: 'email_taken', view: 'register', errors });
      return;
    }
    await recordAudit(pool, { userId: user.id, action: 'user.registered' });
    await startSession(req, user.id);
    if (wantsJson(req)) res.status(201).json({ authenticated: true, user, csrfToken: req.csrfToken() });
    else res.redirect('/onboarding');
  });

  router.get('/auth/login', (req, res) => {
    const next = ownPath(req.query['next'], '/dashboard');
    if (req.user !== undefined) res.redirect(next);
    else res.render('login', { form: { email: '' }, errors: {}, next });
  });

  router.post('/auth/login', async (req, res) => {
    const t = res.locals['t'] as TFunction;
    const body = (req.body ?? {}) as { next?: unknown };
    const next = ownPath(body.next, '/dashboard');
    const form = LoginFormSchema.safeParse(body);
    const user = form.success ? await logIn(req, form.data) : null;
    if (user === null) {
      const errors = { form: [t('forms:wrongLogin')] };
      showAgain(req, res, { status: 401, code: 'wrong_login', view: 'login', errors, next });
      return;
    }
    await startSession(req, user.id);
    if (wantsJson(req))
      res.json({
        authenticated: true,
        user: { id: user.id, email: user.email, role: user.role },
        csrfToken: req.csrfToken(),
      });
    else res.redirect(next);
  });

  router.post('/auth/logout', async (req, res) => {
    await endSession(req);
    const { name, ...options } = sessionCookie(config);
    res.clearCookie(name, options);
    if (wantsJson(req)) res.json({ authenticated: false });
    else res.redirect('/');
  });

  /** Counted before the password is looked at; a success gives the tries back. Null: wrong address or password. */
  async function logIn(req: Request, { email, password }: z.infer<typeof LoginFormSchema>) {
    const account = `${normalizeEmail(email).slice(0, 254)}|${clientKey(req)}`;
    await countTry(triesPerAddress, clientKey(req));
    await countTry(triesPerAccount, account);
    const user = email.includes('\0') ? null : await findUserWithPassword(pool, email);
    const isRight = await verifyPassword(password, user?.passwordHash ?? null, config.bcryptRounds);
    if (user === null || !isRight) return null;
    const newHash = needsRehash(user.passwordHash, config.bcryptRounds)
      ? await hashPassword(password, config.bcryptRounds)
      : null;
    await recordLogin(pool, user.id, newHash);
    await recordAudit(pool, { userId: user.id, action: 'user.logged_in' });
    await triesPerAccount.forget(account);
    return user;
  }

  return router;
}

interface FormMistake {
  status: number;
  code: string;
  view: 'register' | 'login';
  errors: Record<string, string[]>;
  next?: string;
}

/** The form again with what was typed (never the password), or the same as JSON. */
function showAgain(req: Request, res: Response, { status, code, view, errors, next }: FormMistake): void {
  res.status(status);
  if (!wantsJson(req)) {
    res.render(view, { form: { email: typedEmail(req) }, errors, next });
    return;
  }
  const { requestId } = res.locals as { requestId: string };
  res.json({ error: { code, message: Object.values(errors).flat()[0] ?? '', fields: errors, requestId } });
}

function countTry(limit: RateLimit, key: string): Promise<void> {
  return limit.consume(key.replaceAll('\0', ''));
}

/** The client's address; of IPv6 the network, since one household has as many addresses as it likes. */
function clientKey(req: Request): string {
  const address = req.ip ?? 'unknown';
  return address.includes(':') && !address.startsWith('::ffff:')
    ? address.split(':').slice(0, 4).join(':')
    : address;
}

function typedEmail(req: Request): string {
  const { email } = (req.body ?? {}) as { email?: unknown };
  return typeof email === 'string' ? email.slice(0, 254) : '';
}

function translated(errors: Record<string, string[] | undefined>, t: TFunction): Record<string, string[]> {
  const values = { minimum: MIN_PASSWORD_CHARACTERS, maximum: MAX_PASSWORD_BYTES };
  return Object.fromEntries(
    Object.entries(errors).map(([field, keys]) => [
      field,
      (keys ?? []).slice(0, 1).map((key) => t(key, values)),
    ]),
  );
}
