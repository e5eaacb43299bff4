import { Router } from 'express';
import { z } from 'zod';
import { type AppContext } from '../context';
import { BadRequestError } from '../errors';
import { THEME_COOKIE, THEMES } from '../middleware/pageLocals';
import { ownPath } from '../utils/paths';

const YEAR_MS = 365 * 86_400_000;
const ThemeFormSchema = z.object({ theme: z.enum(THEMES), back: z.string().optional() });

/** The front door and what belongs to no area. */
export function siteRoutes({ config }: AppContext): Router {
  const router = Router();

  router.get('/', (req, res) => {
    if (req.user !== undefined) res.redirect('/dashboard');
    else res.render('landing');
  });

  router.get('/login', (_req, res) => {
    res.redirect('/auth/login');
  });
  router.get('/register', (_req, res) => {
    res.redirect('/auth/register');
  });

  router.post('/settings/theme', (req, res) => {
    const form = ThemeFormSchema.safeParse(req.body ?? {});
    if (!form.success) throw new BadRequestError('The theme is light, dark or system.', 'invalid_theme');
    res.cookie(THEME_COOKIE, form.data.theme, {
      maxAge: YEAR_MS,
      sameSite: 'lax',
      secure: config.baseUrl.startsWith('https:'),
    });
    res.redirect(303, ownPath(form.data.back, '/'));
  });

  return router;
}
