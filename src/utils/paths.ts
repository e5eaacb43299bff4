import path from 'node:path';

/** The checkout, from src/ as well as from dist/. */
export const ROOT_DIR = path.resolve(__dirname, '../..');
export const VIEWS_DIR = path.join(ROOT_DIR, 'views');
export const PUBLIC_DIR = path.join(ROOT_DIR, 'public');

/**
 * The path if it leads to a page of ours, else the fallback. Browsers read `//host`, `/\host` and control characters
 * as another site.
 */
export function ownPath(value: unknown, fallback: string): string {
  if (typeof value !== 'string' || value.length > 2000) return fallback;
  return /^\/(?![/\\])[\x21-\x7e]*$/.test(value) && !value.includes('\\') ? value : fallback;
}
