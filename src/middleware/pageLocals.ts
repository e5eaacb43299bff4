import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { type RequestHandler } from 'express';
import { createFormat } from '../utils/format';
import { PUBLIC_DIR } from '../utils/paths';

export const THEMES = ['light', 'dark', 'system'] as const;
export const THEME_COOKIE = 'theme';

/** What every page needs and no session: theme, formats, and a version so that browsers take new styles at once. */
export function pageLocals(): RequestHandler {
  const assetVersion = hashOfAssets();
  return (req, res, next) => {
    const cookie = new RegExp(`(?:^|;\\s*)${THEME_COOKIE}=(\\w+)`).exec(req.headers.cookie ?? '')?.[1];
    const language = typeof res.locals['language'] === 'string' ? res.locals['language'] : 'en';
    Object.assign(res.locals, {
      assetVersion,
      theme: THEMES.find((theme) => theme === cookie) ?? 'system',
      format: createFormat(language, 'UTC'),
      currentPath: req.originalUrl,
      currentUser: null,
      flash: [],
    });
    next();
  };
}

function hashOfAssets(): string {
  const hash = createHash('sha256');
  const files = ['css', 'js'].flatMap((directory) =>
    fs
      .readdirSync(path.join(PUBLIC_DIR, directory))
      .sort()
      .map((file) => path.join(directory, file)),
  );
  for (const file of [...files, 'icons.svg']) hash.update(fs.readFileSync(path.join(PUBLIC_DIR, file)));
  return hash.digest('hex').slice(0, 10);
}
