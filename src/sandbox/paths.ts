import path from 'node:path';

/** The project's folder, seen from `src/sandbox` as well as from `dist/sandbox`. */
const PROJECT = path.resolve(__dirname, '../..');

export const VIEWS_DIR = path.join(PROJECT, 'views/sandbox');
export const ASSETS_DIR = path.join(PROJECT, 'public/sandbox');
export const FONT_FILE = path.join(
  PROJECT,
  'node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2',
);
