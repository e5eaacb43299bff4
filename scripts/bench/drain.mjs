import { makeWorkerUtils } from 'graphile-worker';
import process from 'node:process';
import PgBoss from 'pg-boss';
import { rows } from './lib/cluster.mjs';
import { sendAll } from './lib/load.mjs';
import { clusterCpuSeconds, lastLine, startProgram, startServer, watch } from './lib/processes.mjs';
import { inRounds, printRatios, printTable } from './lib/report.mjs';
import { seedAccounts } from './lib/seed.mjs';
import { productionSettings } from './lib/settings.mjs';
import { commentJobs, commentsRequest, noOpRequest } from './lib/webhooks.mjs';

const BATCH = 10;
const ITEMS_PER_POST = 500;
/** A worker that polls could take an hour: its rate is known after this. */
const MOST_SECONDS = 20;

const PG_BOSS = { fill: fillPgBoss, script: 'scripts/bench/contestants/pg-boss.mjs' };
const GRAPHILE = { fill: fillGraphileWorker, script: 'scripts/bench/contestants/graphile-worker.mjs' };
const WORKERS = [
  { name: 'application', fill: fillApplication, run: runApplication },
  {
    ...PG_BOSS,
    name: 'pg-boss, polling each 2 s (default)',
    settings: { pollingIntervalSeconds: 2, batchSize: BATCH },
  },
  {
    ...PG_BOSS,
    name: 'pg-boss, never waiting',
    settings: { pollingIntervalSeconds: 2, batchSize: BATCH, isEager: true },
  },
  { ...GRAPHILE, name: 'graphile-worker, one at a time (default)', settings: { preset: {} } },
  {
    ...GRAPHILE,
    name: 'graphile-worker, 10 at a time, local queue of 10',
    settings: { preset: { concurrentJobs: BATCH, localQueue: { size: BATCH }, completeJobBatchDelay: 0 } },
  },
];

/** Works off a backlog with one process. */
export async function drain({ cluster, rounds, events }) {
  const postmaster = await cluster.pid();
  const accounts = await cluster.createDatabase('drain', seedAccounts);
  const outcome = {};
  for (const hasEffect of [false, true]) {
    const results = await inRounds(WORKERS, rounds, (worker) =>
      cluster.withCopyOf('drain', async (url) => {
        await worker.fill({ url, accounts, events, hasEffect });
        await rows(url, 'VACUUM ANALYZE');
        await rows(url, 'CHECKPOINT');
        const postgresBefore = clusterCpuSeconds(postmaster);
        const result = await (worker.run ?? runWorker)(worker, { url, events, hasEffect });
        return {
          ...result,
          perSecond: result.done / result.seconds,
          cpuMicroseconds: (result.cpuSeconds / result.done) * 1e6,
          postgresCpuMicroseconds: ((clusterCpuSeconds(postmaster) - postgresBefore) / result.done) * 1e6,
          effects: await countEffects(url),
        };
      }),
    );
    printDrain(
      results,
      `drain: ${events} events, batches of ${BATCH}, ${hasEffect ? 'one row each' : 'nothing to do'}`,
    );
    outcome[hasEffect ? 'effect' : 'noOp'] = Object.fromEntries(results);
  }
  return outcome;
}

function printDrain(results, title) {
  printTable(title, results, [
    ['events/s', (round) => round.perSecond],
    ['done', (round) => round.done],
    ['rows written', (round) => round.effects],
    ['CPU us/event', (round) => round.cpuMicroseconds],
    ['PostgreSQL CPU us/event', (round) => round.postgresCpuMicroseconds],
    ['RSS peak MB', (round) => round.rssPeakMb],
  ]);
  const rivals = WORKERS.slice(1).map(({ name }) => name);
  printRatios(
    results,
    rivals.map((name) => [
      `events/s: application / ${name}`,
      'application',
      name,
      (round) => round.perSecond,
    ]),
  );
}

/** Through its own door: the rows are as the application makes them. */
async function fillApplication({ url, accounts, events, hasEffect }) {
  const makeRequest = hasEffect ? commentsRequest : noOpRequest;
  const server = await startServer('dist/server.js', productionSettings(url), 'drain-server');
  const posts = Array.from({ length: Math.ceil(events / ITEMS_PER_POST) }, (_post, index) =>
    makeRequest(accounts, Math.min(ITEMS_PER_POST, events - index * ITEMS_PER_POST)),
  );
  await sendAll(server.port, posts);
  await server.stop();
}

async function fillPgBoss({ url, accounts, events }) {
  const boss = new PgBoss(url);
  await boss.start();
  await boss.createQueue('events');
  for (let left = events; left > 0; left -= ITEMS_PER_POST) {
    const jobs = commentJobs(accounts, Math.min(left, ITEMS_PER_POST));
    await boss.insert(jobs.map((data) => ({ name: 'events', data })));
  }
  await boss.stop();
}

async function fillGraphileWorker({ url, accounts, events }) {
  const utils = await makeWorkerUtils({ connectionString: url });
  await utils.migrate();
  for (let left = events; left > 0; left -= ITEMS_PER_POST) {
    const jobs = commentJobs(accounts, Math.min(left, ITEMS_PER_POST));
    await utils.addJobs(jobs.map((payload) => ({ identifier: 'events', payload })));
  }
  await utils.release();
}

/** Runs until nothing is due, as the timer's run would; from its own start to the last event's end. */
async function runApplication(_worker, { url, events }) {
  const env = { ...productionSettings(url), WEBHOOK_BATCH_SIZE: String(BATCH), WEBHOOK_LINGER_SECONDS: '0' };
  const program = startProgram('dist/jobs/webhook-processor.js', env);
  const watched = watch(program.pid);
  await program.ended;
  const usage = watched.stop();
  const [{ done, seconds }] = await rows(
    url,
    `SELECT count(*)::integer AS done, extract(epoch FROM max(processed_at) - (SELECT started_at FROM job_heartbeats))::float8 AS seconds
     FROM webhook_events
     WHERE status = 'processed'`,
  );
  if (done < events) process.stderr.write(`  the run ended with ${events - done} events left\n`);
  return { done, seconds, ...usage };
}

async function runWorker({ script, settings }, { url, events, hasEffect }) {
  const env = {
    NODE_ENV: 'production',
    DATABASE_URL: url,
    BENCH_SETTINGS: JSON.stringify({ ...settings, hasEffect, jobs: events, mostSeconds: MOST_SECONDS }),
  };
  const program = startProgram(script, env);
  const watched = watch(program.pid);
  const output = await program.ended;
  const usage = watched.stop();
  const { done, seconds } = lastLine(output);
  return { done, seconds, ...usage };
}

async function countEffects(url) {
  const [{ count }] = await rows(url, 'SELECT count(*)::integer AS count FROM interactions');
  return count;
}
