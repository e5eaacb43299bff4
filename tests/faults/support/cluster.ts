import { type ChildProcess, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client, Pool } from 'pg';
import { findPostgresBinaries, type PostgresBinaries } from '../../../src/dev/postgresBinaries';
import { spawnTied } from '../../../src/dev/spawnTied';
import { freePort, run } from '../../deploy/tools';
import { endOf, startProgram, waitUntil } from './processes';

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
  log_timezone: 'UTC',
  fsync: 'off', // PostgreSQL is killed here, the machine is not: what was written stays
};
/** PostgreSQL's signals for the ways of stopping at once. */
const STOP_SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

interface ClusterOptions {
  settings?: Record<string, string>;
  initdb?: string[];
  /** Puts its files on a disk of that size; only root may. */
  diskMegabytes?: number;
}

/** A PostgreSQL for the calling test file alone, which may be mistreated. */
export function useCluster(options: ClusterOptions = {}): Cluster {
  const cluster = new Cluster(options);
  beforeAll(() => cluster.create());
  afterAll(() => cluster.destroy());
  return cluster;
}

export class Cluster {
  private readonly base = fs.mkdtempSync(path.join(os.tmpdir(), 'insta-connect-demo-cluster-'));
  private readonly binaries: PostgresBinaries;
  private openPool: Pool | undefined;
  private port = 0;
  private watchdog: ChildProcess | undefined;
  private output = '';

  constructor(private readonly options: ClusterOptions) {
    this.binaries = findPostgresBinaries(path.join(this.base, 'disk', 'postgres'));
  }

  /** As the application's own role, which owns the migrated database and is nobody special. */
  get url(): string {
    return `postgres://app@127.0.0.1:${this.port}/app`;
  }

  /** Where all of its files are. */
  get disk(): string {
    return path.dirname(this.binaries.dataDir);
  }

  get isRunning(): boolean {
    return this.watchdog?.exitCode === null;
  }

  /** The test's own connections, in the same role. */
  get pool(): Pool {
    this.openPool ??= new Pool({ connectionString: this.url, max: 5 }).on('error', () => undefined);
    return this.openPool;
  }

  async create(): Promise<void> {
    const { command, ids, dataDir } = this.binaries;
    fs.mkdirSync(this.disk, { recursive: true });
    if (this.options.diskMegabytes !== undefined)
      must(run('mount', ['-t', 'tmpfs', '-o', `size=${this.options.diskMegabytes}m`, 'tmpfs', this.disk]));
    if (ids !== undefined) fs.chownSync(this.disk, ids.uid, ids.gid);
    const args = [
      '-D',
      dataDir,
      '-U',
      'postgres',
      '--auth=trust',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ];
    const made = spawnSync(...command('initdb', [...args, ...(this.options.initdb ?? [])]), {
      ...ids,
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      encoding: 'utf8',
    });
    must(made);
    this.port = await freePort();
    await this.start();
    await this.asSuperuser('CREATE ROLE app LOGIN', 'postgres');
    await this.asSuperuser('CREATE DATABASE app OWNER app', 'postgres');
    const migration = startProgram('db/migrate.js', { NODE_ENV: 'production', DATABASE_URL: this.url });
    const { code, stderr } = await endOf(migration, 60);
    if (code !== 0) throw new Error(stderr);
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    const { command, ids, dataDir } = this.binaries;
    const settings = Object.entries({ ...SETTINGS, ...this.options.settings });
    const args = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const postgres = command('postgres', ['-D', dataDir, '-p', String(this.port), ...args]);
    const watchdog = spawnTied('INT', ...postgres, {
      ...ids,
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    });
    this.watchdog = watchdog;
    watchdog.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.output = (this.output + text).slice(-4000);
    });
    await waitUntil('PostgreSQL accepts connections', async () => {
      if (!this.isRunning) throw new Error(`PostgreSQL did not start:\n${this.output}`);
      return this.asSuperuser('SELECT 1', 'postgres').then(
        () => true,
        () => false,
      );
    });
  }

  /** As `pg_ctl stop -m …`. */
  async stop(mode: keyof typeof STOP_SIGNALS): Promise<void> {
    process.kill(this.postmaster(), STOP_SIGNALS[mode]);
    await waitUntil('PostgreSQL has stopped', () => !this.isRunning);
  }

  /** Resolves when connections are accepted again. */
  async restart(mode: keyof typeof STOP_SIGNALS): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** Stops every process of it where it stands, first the one that would start others. */
  pause(): void {
    this.signalAll('SIGSTOP');
  }

  resume(): void {
    this.signalAll('SIGCONT');
  }

  /** The superuser gets in also when all other connections are taken. */
  async asSuperuser(sql: string, database = 'app'): Promise<Record<string, unknown>[]> {
    const client = new Client(`postgres://postgres@127.0.0.1:${this.port}/${database}`);
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async destroy(): Promise<void> {
    await this.openPool?.end();
    if (this.isRunning) {
      this.resume();
      await this.stop('immediate');
    }
    if (this.options.diskMegabytes !== undefined) run('umount', ['--lazy', this.disk]);
    fs.rmSync(this.binaries.dataDir, { recursive: true, force: true });
    fs.rmSync(this.base, { recursive: true, force: true });
  }

  private signalAll(signal: NodeJS.Signals): void {
    const children = run('pgrep', ['-P', String(this.postmaster())])
      .stdout.split('\n')
      .filter(Boolean);
    for (const pid of [this.postmaster(), ...children.map(Number)]) process.kill(pid, signal);
  }

  private postmaster(): number {
    return Number.parseInt(fs.readFileSync(path.join(this.binaries.dataDir, 'postmaster.pid'), 'utf8'), 10);
  }
}

function must({ status, stderr }: { status: number | null; stderr: string }): void {
  if (status !== 0) throw new Error(stderr);
}
