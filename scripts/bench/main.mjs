// Side-by-side benchmarks: npm run bench -- [intake drain latency lists refresh] [--rounds N] [--seconds N] [--json FILE]
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

const DEFAULTS = {
  intake: { rounds: 5, seconds: 8 },
  drain: { rounds: 3, events: 20_000 },
  latency: { rounds: 1, seconds: 60 },
  lists: { rounds: 3, events: 5_000_000 },
  refresh: { rounds: 1, accounts: 5_000 },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    events: { type: 'string' },
    json: { type: 'string' },
  },
});
const given = Object.fromEntries(
  ['rounds', 'seconds', 'events']
    .filter((name) => values[name] !== undefined)
    .map((name) => [name, wholeNumber(name)]),
);
const names = positionals.length > 0 ? positionals : Object.keys(DEFAULTS);
for (const name of names)
  if (!(name in DEFAULTS))
    throw new Error(`There is no benchmark "${name}": ${Object.keys(DEFAULTS).join(', ')}`);

installRivals();
// Only now: they need what was installed.
const { startThrowAwayCluster } = await import('./lib/cluster.mjs');
const { describeMachine, printLines } = await import('./lib/report.mjs');

const cluster = await startThrowAwayCluster();
try {
  const machine = describeMachine(await cluster.version());
  printLines('Machine', Object.entries(machine));
  const results = {};
  for (const name of names) {
    process.stderr.write(`${name}\n`);
    const benchmark = (await import(`./${name}.mjs`))[name];
    results[name] = await benchmark({ cluster, ...DEFAULTS[name], ...given });
  }
  if (values.json !== undefined)
    fs.writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
} finally {
  await cluster.stop();
}

function wholeNumber(name) {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} must be a whole number above 0.`);
  return number;
}

/** The rivals are a package of their own, so that nobody installs them with the application. */
function installRivals() {
  const directory = import.meta.dirname;
  if (fs.existsSync(path.join(directory, 'node_modules'))) return;
  process.stderr.write('Installing what the application is compared with (scripts/bench/package.json)\n');
  const { status } = spawnSync('npm', ['--prefix', directory, 'ci'], { stdio: 'inherit' });
  if (status !== 0) throw new Error('npm --prefix scripts/bench ci failed.');
}
