// Builds public/icons.svg, the one sprite of the Lucide icons the pages use: node scripts/build-icons.mjs
// Add a name here, run it, commit both files.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const NAMES = [
  'activity',
  'arrow-left',
  'arrow-right',
  'at-sign',
  'ban',
  'bell',
  'calendar',
  'camera',
  'check',
  'chevron-down',
  'chevron-left',
  'chevron-right',
  'circle-alert',
  'circle-check',
  'circle-dashed',
  'circle-minus',
  'circle-pause',
  'circle-play',
  'circle-question-mark',
  'circle-x',
  'clock',
  'code-xml',
  'copy',
  'copy-check',
  'cpu',
  'database',
  'download',
  'ellipsis',
  'external-link',
  'eye',
  'file-text',
  'heart',
  'hourglass',
  'image',
  'inbox',
  'info',
  'key-round',
  'keyboard',
  'layout-dashboard',
  'link',
  'list-filter',
  'loader-circle',
  'lock',
  'log-out',
  'message-circle',
  'message-square-text',
  'monitor',
  'moon',
  'plug',
  'plus',
  'radio',
  'refresh-cw',
  'reply',
  'rotate-cw',
  'search',
  'send',
  'server',
  'settings',
  'shield-check',
  'sliders-horizontal',
  'sun',
  'timer',
  'trash-2',
  'triangle-alert',
  'unplug',
  'user-round',
  'users-round',
  'webhook',
  'wrench',
  'x',
  'zap',
];

const packageDir = path.dirname(createRequire(import.meta.url).resolve('lucide-static/package.json'));
const { version } = JSON.parse(readFileSync(path.join(packageDir, 'package.json'), 'utf8'));
const license = readFileSync(path.join(packageDir, 'LICENSE'), 'utf8').trim();

const symbols = NAMES.map((name) => {
  const source = readFileSync(path.join(packageDir, 'icons', `${name}.svg`), 'utf8');
  const body = /<svg[^>]*>([\s\S]*)<\/svg>/.exec(source)?.[1];
  if (body === undefined) throw new Error(`${name}.svg is not an SVG`);
  const shapes = body.trim().replace(/\s*\n\s*/g, '');
  return (
    `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" ` +
    `stroke-linecap="round" stroke-linejoin="round">${shapes}</symbol>`
  );
});

const target = path.join(import.meta.dirname, '..', 'public', 'icons.svg');
writeFileSync(
  target,
  `<!--\nLucide ${version}, https://lucide.dev. Built by scripts/build-icons.mjs.\n\n${license.replace(/-(?=-)/g, '- ')}\n-->\n` +
    `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join('\n')}\n</svg>\n`,
);
