import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { findPostgresBinaries, type PostgresBinaries } from './postgresBinaries';
import { findRunningServer, stopServer } from './runningServer';
import { spawnTied } from './spawnTied';

export interface EmbeddedPostgresOptions {
  /** Where the cluster lives; reused when it exists. */
  dataDir: string;
  /** Throw-away clusters of tests: nothing is flushed to disk. */
  isEphemeral?: boolean;
}

export interface EmbeddedPostgres {
  /** postgres://… of the `postgres` database; other names by urlOf. */
  urlOf(database: string): string;
  stop(): Promise<void>;
}

const USER = 'insta_user';
const START_LIMIT_MS = 60_000; // crash recovery can take a while
const BASE_SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '', // no socket file: no path limit, nothing left in /tmp
  max_connections: '200',
  timezone: 'UTC',
  log_timezone: 'UTC',
};
const EPHEMERAL_SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
};

/**
 * Starts a real PostgreSQL from the binaries that npm installed, on a free port of the loopback interface, and creates
 * its cluster at the first start. It ends with this process, however that dies; a server that another process of ours
 * runs on the same directory is shared.
 * @throws Error saying why the server could not start
 */
export async function startEmbeddedPostgres({
  dataDir: wanted,
  isEphemeral = false,
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = findPostgresBinaries(path.resolve(wanted));
  const { dataDir } = binaries;
  const passwordFile = `${dataDir}.password`;
  if (!fs.existsSync(path.join(dataDir, 'PG_VERSION'))) createCluster(binaries, passwordFile);
  refuseOtherVersion(binaries);

  const password = fs.readFileSync(passwordFile, 'utf8').trim();
  const urlOf = (port: number) => (database: string) =>
    `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
  const running = findRunningServer(dataDir);
  // One whose owner was just killed is still there while it shuts down: wait until it answers or is gone.
  const isGone = () => findRunningServer(dataDir)?.pid !== running?.pid;
  if (running !== null && !running.isOrphan && (await accepts(urlOf(running.port)('postgres'), isGone)))
    return { urlOf: urlOf(running.port), stop: () => Promise.resolve() };
  if (running !== null) await stopServer(dataDir, running.pid);
  fs.rmSync(path.join(dataDir, 'postmaster.pid'), { force: true }); // of a server that died
  const settings = isEphemeral ? { ...BASE_SETTINGS, ...EPHEMERAL_SETTINGS } : BASE_SETTINGS;
  return startServer(binaries, settings, urlOf);
}

/** Made beside its place and renamed, so that an interrupted start leaves no half cluster. */
function createCluster({ command, ids, dataDir }: PostgresBinaries, passwordFile: string): void {
  fs.mkdirSync(path.dirname(dataDir), { recursive: true });
  fs.writeFileSync(passwordFile, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
  if (ids !== undefined) fs.chownSync(passwordFile, ids.uid, ids.gid);
  const part = `${dataDir}.part`;
  fs.rmSync(part, { recursive: true, force: true });
  const args = [
    '-D',
    part,
    '-U',
    USER,
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ];
  const result = spawnSync(...command('initdb', args), {
    ...ids,
    env: serverEnvironment(),
    encoding: 'utf8',
  });
  if (result.status !== 0)
    throw new Error(
      `The embedded PostgreSQL could not create its files: ${result.error?.message ?? result.stderr}`,
    );
  fs.renameSync(part, dataDir);
}

function refuseOtherVersion({ dataDir, majorVersion }: PostgresBinaries): void {
  const version = fs.readFileSync(path.join(dataDir, 'PG_VERSION'), 'utf8').trim();
  if (version !== majorVersion) {
    throw new Error(
      `${dataDir} was written by PostgreSQL ${version}, this is ${majorVersion}. Delete that directory to start empty.`,
    );
  }
}

async function startServer(
  { command, ids, dataDir }: PostgresBinaries,
  settings: Record<string, string>,
  urlOf: (port: number) => (database: string) => string,
): Promise<EmbeddedPostgres> {
  let output = '';
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const args = [
      '-D',
      dataDir,
      '-p',
      String(port),
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
    const watchdog = spawnTied('INT', ...command('postgres', args), { ...ids, env: serverEnvironment() });
    const server = { hasEnded: false };
    const onEnd = () => {
      server.hasEnded = true;
    };
    watchdog.once('exit', onEnd).once('error', onEnd);
    watchdog.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => (output = (output + text).slice(-4000)));
    if (await accepts(urlOf(port)('postgres'), () => server.hasEnded)) {
      watchdog.unref();
      for (const stream of watchdog.stdio) (stream as net.Socket | null)?.unref();
      return { urlOf: urlOf(port), stop: () => stop(watchdog.pid ?? 0, dataDir, () => server.hasEnded) };
    }
    if (!server.hasEnded) watchdog.kill('SIGTERM');
    const lostPort = /could not bind|Address already in use/.test(output);
    if (!lostPort || attempt === 3) throw new Error(`The embedded PostgreSQL did not start:\n${output}`);
  }
}

async function accepts(url: string, hasEnded: () => boolean): Promise<boolean> {
  const deadline = Date.now() + START_LIMIT_MS;
  while (Date.now() < deadline && !hasEnded()) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      await sleep(20); // not yet
    }
  }
  return false;
}

async function stop(watchdogPid: number, dataDir: string, hasEnded: () => boolean): Promise<void> {
  if (hasEnded()) return;
  process.kill(watchdogPid, 'SIGINT');
  for (const deadline = Date.now() + 15_000; !hasEnded() && Date.now() < deadline;) await sleep(10);
  const running = findRunningServer(dataDir);
  if (running !== null) await stopServer(dataDir, running.pid);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}

/** Nothing of ours: PG* variables from outside would steer the server. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC' };
}
