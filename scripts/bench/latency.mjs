import { makeWorkerUtils } from 'graphile-worker';
import PgBoss from 'pg-boss';
import { setTimeout as sleep } from 'node:timers/promises';
import { rows } from './lib/cluster.mjs';
import { atRate, percentiles, sendAtRate } from './lib/load.mjs';
import { lastLine, startProgram, startServer, watch } from './lib/processes.mjs';
import { inRounds, printRatios, printTable } from './lib/report.mjs';
import { seedAccounts } from './lib/seed.mjs';
import { productionSettings } from './lib/settings.mjs';
import { commentJobs, commentRequest } from './lib/webhooks.mjs';

const PER_SECOND = 50;
const WARM_UP_SECONDS = 5;
/** So long after the last arrival, everything that keeps up has worked it off. */
const DRAIN_SECONDS = 3;

const PG_BOSS = {
  run: runQueue,
  script: 'scripts/bench/contestants/pg-boss.mjs',
  openProducer: pgBossProducer,
};
const GRAPHILE = {
  run: runQueue,
  script: 'scripts/bench/contestants/graphile-worker.mjs',
  openProducer: graphileWorkerProducer,
};
const WORKERS = [
  { name: 'application', run: runApplication },
  // With a batch of 10, polling each 2 s, it would fall behind 5 jobs a second.
  {
    ...PG_BOSS,
    name: 'pg-boss, polling each 2 s (default)',
    settings: { pollingIntervalSeconds: 2, batchSize: 200 },
  },
  {
    ...PG_BOSS,
    name: 'pg-boss, polling each 0.5 s (its least)',
    settings: { pollingIntervalSeconds: 0.5, batchSize: 200 },
  },
  { ...GRAPHILE, name: 'graphile-worker, one at a time (default)', settings: { preset: {} } },
  { ...GRAPHILE, name: 'graphile-worker, 10 at a time', settings: { preset: { concurrentJobs: 10 } } },
];

/** From stored to processed, one process waiting for work that trickles in. */
export async function latency({ cluster, rounds, seconds }) {
  const accounts = await cluster.createDatabase('latency', seedAccounts);
  const results = await inRounds(WORKERS, rounds, (worker) =>
    cluster.withCopyOf('latency', async (url) => {
      const { latencies, ...usage } = await worker.run(worker, { url, accounts, seconds });
      return { ...percentiles(latencies), done: latencies.length, ...usage };
    }),
  );
  printTable(`latency: stored to processed, ${PER_SECOND} events/s for ${seconds} s, one row each`, results, [
    ['p50 ms', (round) => round.p50, 1],
    ['p99 ms', (round) => round.p99, 1],
    ['max ms', (round) => round.max, 0],
    ['done', (round) => round.done],
    ['CPU % of a core', (round) => (round.cpuSeconds / (seconds + WARM_UP_SECONDS + DRAIN_SECONDS)) * 100, 1],
    ['RSS peak MB', (round) => round.rssPeakMb],
  ]);
  const rivals = WORKERS.slice(1).map(({ name }) => name);
  printRatios(results, [
    ...rivals.map((name) => [`p50: application / ${name}`, 'application', name, (round) => round.p50]),
    ...rivals.map((name) => [`p99: application / ${name}`, 'application', name, (round) => round.p99]),
  ]);
  return Object.fromEntries(results);
}

async function runApplication(_worker, { url, accounts, seconds }) {
  const env = productionSettings(url);
  const server = await startServer('dist/server.js', env, 'latency-server');
  const processor = startProgram('dist/jobs/webhook-processor.js', {
    ...env,
    WEBHOOK_LINGER_SECONDS: String(seconds + 60), // it stays until it is told to stop
  });
  const load = { port: server.port, perSecond: PER_SECOND, makeRequest: () => commentRequest(accounts) };
  await sendAtRate({ ...load, seconds: WARM_UP_SECONDS });
  const [{ since }] = await rows(url, 'SELECT now()::text AS since');
  const watched = watch(processor.pid);
  const { failed } = await sendAtRate({ ...load, seconds });
  if (failed > 0) throw new Error(`${failed} POSTs were refused.`);
  await sleep(DRAIN_SECONDS * 1000);
  const usage = watched.stop();
  await processor.stop();
  await server.stop();
  const events = await rows(
    url,
    `SELECT extract(epoch FROM processed_at - received_at)::float8 * 1000 AS ms
     FROM webhook_events
     WHERE received_at > $1 AND processed_at IS NOT NULL`,
    [since],
  );
  return { latencies: events.map(({ ms }) => ms), ...usage };
}

async function runQueue({ script, openProducer, settings }, { url, accounts, seconds }) {
  const producer = await openProducer(url);
  const worker = startProgram(script, {
    NODE_ENV: 'production',
    DATABASE_URL: url,
    BENCH_SETTINGS: JSON.stringify({ ...settings, hasEffect: true, jobs: null, mostSeconds: 3600 }),
  });
  const send = () => void producer.send(commentJobs(accounts, 1)[0]);
  await atRate({ perSecond: PER_SECOND, seconds: WARM_UP_SECONDS }, send);
  const since = Date.now();
  const watched = watch(worker.pid);
  await atRate({ perSecond: PER_SECOND, seconds }, send);
  await sleep(DRAIN_SECONDS * 1000);
  const usage = watched.stop();
  const { jobs } = lastLine(await worker.stop());
  await producer.close();
  return {
    latencies: jobs
      .filter(({ createdAt }) => createdAt > since)
      .map(({ createdAt, doneAt }) => doneAt - createdAt),
    ...usage,
  };
}

async function pgBossProducer(url) {
  const boss = new PgBoss(url);
  await boss.start();
  await boss.createQueue('events');
  return { send: (data) => boss.send('events', data), close: () => boss.stop() };
}

async function graphileWorkerProducer(url) {
  const utils = await makeWorkerUtils({ connectionString: url });
  await utils.migrate();
  return { send: (payload) => utils.addJob('events', payload), close: () => utils.release() };
}
