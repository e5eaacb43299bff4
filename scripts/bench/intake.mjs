import { setTimeout as sleep } from 'node:timers/promises';
import { rows } from './lib/cluster.mjs';
import { sendBackToBack } from './lib/load.mjs';
import { clusterCpuSeconds, startServer, watch } from './lib/processes.mjs';
import { inRounds, printRatios, printTable } from './lib/report.mjs';
import { seedAccounts } from './lib/seed.mjs';
import { productionSettings } from './lib/settings.mjs';
import { commentRequest } from './lib/webhooks.mjs';

const CONNECTIONS = 32;
const WARM_UP_SECONDS = 2;

const CONTESTANTS = [
  { name: 'bare node:http + HMAC', script: 'scripts/bench/contestants/bare.mjs' },
  { name: 'application', script: 'dist/server.js', table: 'webhook_events' },
  {
    name: 'one INSERT per request',
    script: 'scripts/bench/contestants/one-insert.mjs',
    table: 'webhook_events',
  },
  {
    name: 'answer before storing',
    script: 'scripts/bench/contestants/answer-first.mjs',
    table: 'webhook_events',
  },
  { name: 'bare group commit', script: 'scripts/bench/contestants/group-commit.mjs', table: 'received' },
];

/** What the bare group commit writes. */
const RECEIVED = `
  CREATE TABLE received (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
  )`;

/** Signed POSTs of one new comment each, on keep-alive connections that never pause. */
export async function intake({ cluster, rounds, seconds }) {
  const postmaster = await cluster.pid();
  const accounts = await cluster.createDatabase('intake', async (url) => {
    await rows(url, RECEIVED);
    return seedAccounts(url);
  });
  const makeRequest = () => commentRequest(accounts);
  const results = await inRounds(CONTESTANTS, rounds, (contestant) =>
    cluster.withCopyOf('intake', (url) => measure(contestant, { url, postmaster, seconds, makeRequest })),
  );

  printTable(`intake: POST /webhook, 1 event, ${CONNECTIONS} connections, ${seconds} s per round`, results, [
    ['req/s', (round) => round.perSecond],
    ['p50 ms', (round) => round.latency.p50, 1],
    ['p99 ms', (round) => round.latency.p99, 1],
    ['max ms', (round) => round.latency.max, 0],
    ['CPU us/req', (round) => round.cpuMicroseconds],
    ['PostgreSQL CPU us/req', (round) => round.postgresCpuMicroseconds],
    ['RSS peak MB', (round) => round.rssPeakMb],
    ['generator load', (round) => round.generatorLoad, 2],
    ['errors', (round) => Object.values(round.errors).reduce((total, count) => total + count, 0)],
    ['200 but not stored', (round) => round.lost],
  ]);
  const perSecond = (round) => round.perSecond;
  const cpu = (round) => round.cpuMicroseconds;
  const p99 = (round) => round.latency.p99;
  printRatios(results, [
    ['req/s: application / bare', 'application', 'bare node:http + HMAC', perSecond],
    ['req/s: application / one INSERT per request', 'application', 'one INSERT per request', perSecond],
    ['req/s: application / answer before storing', 'application', 'answer before storing', perSecond],
    ['req/s: application / bare group commit', 'application', 'bare group commit', perSecond],
    ['req/s: bare group commit / bare', 'bare group commit', 'bare node:http + HMAC', perSecond],
    ['CPU per request: application / bare', 'application', 'bare node:http + HMAC', cpu],
    ['p99: application / answer before storing', 'application', 'answer before storing', p99],
  ]);
  return Object.fromEntries(results);
}

async function measure({ script, table }, { url, postmaster, seconds, makeRequest }) {
  const server = await startServer(script, productionSettings(url), 'intake-server');
  try {
    const load = { port: server.port, connections: CONNECTIONS, makeRequest };
    const warmUp = await sendBackToBack({ ...load, seconds: WARM_UP_SECONDS });
    const watched = watch(server.pid);
    const postgresBefore = clusterCpuSeconds(postmaster);
    const result = await sendBackToBack({ ...load, seconds });
    const { cpuSeconds, rssPeakMb } = watched.stop();
    const postgresCpu = clusterCpuSeconds(postmaster) - postgresBefore;
    const acknowledged = warmUp.answered + result.answered;
    return {
      ...result,
      rssPeakMb,
      cpuMicroseconds: (cpuSeconds / result.answered) * 1e6,
      postgresCpuMicroseconds: (postgresCpu / result.answered) * 1e6,
      lost: table === undefined ? null : acknowledged - (await storedRows(url, table)),
    };
  } finally {
    await server.stop();
  }
}

/** Counted once storing has come to rest: whoever answers first may still be at it. */
async function storedRows(url, table) {
  for (let before = -1; ; await sleep(500)) {
    const [{ count }] = await rows(url, `SELECT count(*)::integer AS count FROM ${table}`);
    if (count === before) return count;
    before = count;
  }
}
