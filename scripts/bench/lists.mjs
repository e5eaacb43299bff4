import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { Browser } from './lib/browser.mjs';
import { ROOT, rows, startCluster } from './lib/cluster.mjs';
import { generate, PASSWORD, PEOPLE, WORDS } from './lib/generate.mjs';
import { percentiles } from './lib/load.mjs';
import { startServer } from './lib/processes.mjs';
import { printTable } from './lib/report.mjs';
import { productionSettings } from './lib/settings.mjs';

const FEW_EVENTS = 50_000;
const REQUESTS_PER_ROUND = 20;
/** A page that takes seconds is not asked as often. */
const MOST_MS_PER_ROUND = 5_000;

/** The page and the API ask the same question; on the page a few of them show what the page adds. */
const ON_THE_PAGE = ['newest', 'dead letters', 'rare type', 'frequent word', 'from the middle on'];

/**
 * Asks the same pages of two servers, one with few events and one with many, in turn. The databases are generated once
 * and kept.
 */
export async function lists({ rounds, events }) {
  const cluster = await startCluster('lists');
  const sides = [];
  try {
    for (const count of [FEW_EVENTS, events])
      sides.push(await openSide(await generatedDatabase(cluster, count)));
    const results = new Map();
    for (const viewer of Object.keys(PEOPLE)) {
      for (const name of Object.keys(sides[0].paths[viewer])) {
        const key = `${viewer}: ${name}`;
        process.stderr.write(`  ${key}\n`);
        results.set(key, await measurePage(sides, viewer, name, rounds));
      }
    }
    printTable(`lists: milliseconds with ${FEW_EVENTS} and with ${events} events`, results, [
      [`${FEW_EVENTS} p50`, (round) => round.few.p50, 1],
      [`${FEW_EVENTS} p95`, (round) => round.few.p95, 1],
      [`${events} p50`, (round) => round.many.p50, 1],
      [`${events} p95`, (round) => round.many.p95, 1],
      ['ratio of p50', (round) => round.many.p50 / round.few.p50, 2],
      ['ratio of p95', (round) => round.many.p95 / round.few.p95, 2],
      ['errors', (round) => round.errors],
    ]);
    return Object.fromEntries(results);
  } finally {
    for (const side of sides) await side.close();
    await cluster.stop();
  }
}

/** @returns its address; made anew when it is not there, was left half done, or has another schema */
export async function generatedDatabase(cluster, events) {
  const prefix = `events_${events}_`;
  const name = prefix + schemaDigest();
  const admin = cluster.urlOf('postgres');
  const present = await rows(
    admin,
    'SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1)',
    [prefix],
  );
  for (const other of present)
    if (other.name !== name) await rows(admin, `DROP DATABASE ${other.name} WITH (FORCE)`);
  if (!present.some((other) => other.name === name)) {
    const part = `${prefix}part`;
    await cluster.createDatabase(part, (url) =>
      generate(url, events, (progress) => process.stderr.write(`  ${progress}\n`)),
    );
    await rows(admin, `ALTER DATABASE ${part} RENAME TO ${name}`);
  }
  return cluster.urlOf(name);
}

function schemaDigest() {
  const directory = path.join(ROOT, 'migrations');
  const hash = createHash('sha256');
  for (const file of fs.readdirSync(directory).sort())
    hash.update(fs.readFileSync(path.join(directory, file)));
  return hash.digest('hex').slice(0, 8);
}

async function openSide(url) {
  const server = await startServer(
    'dist/server.js',
    productionSettings(url),
    `lists-${new URL(url).pathname.slice(1)}`,
  );
  const browsers = {};
  const paths = {};
  for (const [viewer, email] of Object.entries(PEOPLE)) {
    browsers[viewer] = new Browser(server.port);
    await browsers[viewer].logIn(email, PASSWORD);
    paths[viewer] = await pathsOf(url, viewer);
  }
  return {
    browsers,
    paths,
    async close() {
      for (const browser of Object.values(browsers)) browser.close();
      await server.stop();
    },
  };
}

/** What a person looks at, with values that exist in this database. */
async function pathsOf(url, viewer) {
  const [facts] = await rows(
    url,
    `SELECT (SELECT max(id) FROM webhook_events)::text AS newest,
            (SELECT min(id) FROM instagram_accounts WHERE user_id = (SELECT id FROM users WHERE email_norm = $1))::text AS account`,
    [PEOPLE[viewer]],
  );
  const at = (share) => String(Math.floor(Number(facts.newest) * share));
  const daysAgo = (days) => new Date(Date.now() - days * 86_400_000).toISOString();
  const list = {
    newest: '',
    'dead letters': 'status=dead_letter',
    failed: 'status=failed',
    'pending or processing': 'status=pending,processing',
    'frequent type': 'eventType=comments',
    'rare type': 'eventType=messaging_referral',
    'absent type': 'eventType=no_such_type',
    ...(facts.account === null ? {} : { 'one account': `accountId=${facts.account}` }),
    ...(facts.account === null
      ? {}
      : { 'one account, rare type': `accountId=${facts.account}&eventType=messaging_referral` }),
    'one hour, 60 days ago': `from=${daysAgo(60)}&to=${daysAgo(60 - 1 / 24)}`,
    'dead letters of 10 days': `status=dead_letter&from=${daysAgo(40)}&to=${daysAgo(30)}`,
    'before all': `to=${daysAgo(120)}`,
    'frequent word': `q=${WORDS.frequent}`,
    'rare word': `q=${WORDS.rare}`,
    'absent word': `q=${WORDS.absent}`,
    'from the middle on': `cursor=${at(0.5)}`,
    'the oldest': `cursor=${at(0.01)}`,
    'dead letters from the middle on': `status=dead_letter&cursor=${at(0.5)}`,
  };
  return {
    '/dashboard': '/dashboard',
    '/onboarding': '/onboarding',
    '/accounts': '/accounts',
    ...Object.fromEntries(ON_THE_PAGE.map((name) => [`/events, ${name}`, `/events?${list[name]}`])),
    ...Object.fromEntries(
      Object.entries(list).map(([name, query]) => [
        `/api/webhook-events, ${name}`,
        `/api/webhook-events?${query}`,
      ]),
    ),
    '/api/webhook-events/stats': '/api/webhook-events/stats',
    '/api/webhook-events/stats, 7 days': `/api/webhook-events/stats?from=${daysAgo(7)}`,
    ...(viewer === 'operator' ? { '/metrics': '/metrics', '/alerts': '/alerts', '/health': '/health' } : {}),
  };
}

async function measurePage(sides, viewer, name, rounds) {
  const results = [];
  const ask = (side) => side.browsers[viewer].get(side.paths[viewer][name]);
  for (const side of sides) await ask(side); // fills caches and compiles the page
  for (let round = 0; round < rounds; round++) {
    const milliseconds = [[], []];
    let errors = 0;
    const endAt = performance.now() + MOST_MS_PER_ROUND;
    for (
      let request = 0;
      request < REQUESTS_PER_ROUND && (request < 3 || performance.now() < endAt);
      request++
    ) {
      for (const [index, side] of sides.entries()) {
        const answer = await ask(side);
        milliseconds[index].push(answer.milliseconds);
        if (answer.status !== 200) errors++;
      }
    }
    const [few, many] = milliseconds.map(percentiles);
    results.push({ few, many, errors });
  }
  return results;
}
