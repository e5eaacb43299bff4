import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../dist/config.js';
import { sealUserToken } from '../../dist/connections/storedTokens.js';
import { rows } from './lib/cluster.mjs';
import { freePort, startProgram, watch } from './lib/processes.mjs';
import { inRounds, printTable } from './lib/report.mjs';
import { productionSettings } from './lib/settings.mjs';

const ANSWER_MS = 50;
/** What the job asks of Meta at the same time: with nothing else to do, accounts × 50 ms / 5 is the least it can take. */
const PARALLEL_CALLS = 5;

/** Renews the tokens of many accounts that are due together. */
export async function refresh({ cluster, rounds, accounts }) {
  const graph = await startFakeGraph();
  const settings = {
    META_GRAPH_BASE: graph.url,
    META_DIALOG_BASE: graph.url,
    NODE_EXTRA_CA_CERTS: graph.certificate,
  };
  await cluster.createDatabase('refresh', (url) => seedLogins(url, accounts));
  const results = await inRounds([{ name: 'application' }], rounds, () =>
    cluster.withCopyOf('refresh', (url) => measure({ ...productionSettings(url), ...settings })),
  );
  await graph.close();

  const least = (accounts * ANSWER_MS) / PARALLEL_CALLS / 1000;
  printTable(`refresh: ${accounts} due accounts, Graph answers in ${ANSWER_MS} ms`, results, [
    ['seconds', (round) => round.seconds, 1],
    [`of the least possible (${least} s)`, (round) => round.seconds / least, 2],
    ['refreshed', (round) => round.refreshed],
    ['CPU us/account', (round) => (round.cpuSeconds / accounts) * 1e6],
    ['RSS at a quarter MB', (round) => round.rssAtQuarterMb],
    ['RSS peak MB', (round) => round.rssPeakMb],
  ]);
  return Object.fromEntries(results);
}

async function measure(env) {
  const startedAt = performance.now();
  const job = startProgram('dist/jobs/refresh-tokens.js', env);
  const watched = watch(job.pid);
  await job.ended;
  const seconds = (performance.now() - startedAt) / 1000;
  const usage = watched.stop();
  const [{ refreshed }] = await rows(
    env.DATABASE_URL,
    `SELECT count(*)::integer AS refreshed FROM token_refresh_log WHERE outcome = 'refreshed'`,
  );
  return { seconds, refreshed, ...usage };
}

/** Logins whose tokens end in three days, encrypted as the application does it. */
async function seedLogins(url, accounts) {
  const { tokenKeys } = loadConfig(productionSettings(url));
  const logins = await rows(
    url,
    `WITH person AS (
       INSERT INTO users (email, email_norm, password_hash)
       SELECT 'owner' || n || '@bench.example', 'owner' || n || '@bench.example', '-' FROM generate_series(1, $1) n
       RETURNING id
     ), login AS (
       INSERT INTO meta_accounts (user_id, provider, meta_user_id, token_issued_at, token_expires_at)
       SELECT id, 'facebook', 10150000000000000 + id, now() - interval '57 days', now() + interval '3 days' FROM person
       RETURNING id, user_id
     ), account AS (
       INSERT INTO instagram_accounts (user_id, meta_account_id, ig_user_id, username)
       SELECT user_id, id, 17841400000000000 + id, 'shop_' || id FROM login
     )
     SELECT id, user_id AS "userId" FROM login`,
    [accounts],
  );
  await rows(
    url,
    `UPDATE meta_accounts
     SET user_token = sealed.token
     FROM unnest($1::bigint[], $2::text[]) AS sealed (id, token)
     WHERE meta_accounts.id = sealed.id`,
    [logins.map(({ id }) => id), logins.map((login) => sealUserToken(tokenKeys, newToken(), login))],
  );
  await rows(url, 'VACUUM ANALYZE');
}

let tokens = 0;

function newToken() {
  return `EAAB${String(tokens++).padStart(200, 'x')}`;
}

/** Meta's host as far as a refresh knows it: one path, over TLS as in production, on connections that stay open. */
async function startFakeGraph() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-graph-'));
  const [key, certificate] = ['key.pem', 'certificate.pem'].map((name) => path.join(directory, name));
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...[
        '-keyout',
        key,
        '-out',
        certificate,
        '-subj',
        '/CN=bench',
        '-addext',
        'subjectAltName=IP:127.0.0.1',
      ],
    ],
    { stdio: 'ignore' },
  );
  const port = await freePort();
  const server = https.createServer(
    { key: fs.readFileSync(key), cert: fs.readFileSync(certificate) },
    async (req, res) => {
      req.resume();
      await sleep(ANSWER_MS);
      const isKnown = new URL(req.url, 'https://graph').pathname.endsWith('/oauth/access_token');
      res.writeHead(isKnown ? 200 : 404, { 'Content-Type': 'application/json' });
      res.end(JSON.stringify({ access_token: newToken(), token_type: 'bearer', expires_in: 5_183_944 }));
    },
  );
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${port}`,
    certificate,
    close() {
      server.closeAllConnections();
      server.close();
      fs.rmSync(directory, { recursive: true });
    },
  };
}
