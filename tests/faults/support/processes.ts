import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, ROOT } from '../../deploy/tools';
import { INSTAGRAM_SECRET, META_SECRET, VERIFY_TOKEN } from '../../support/app';

/** The compiled programs, or a broken copy of them when somebody checks that these tests can fail. */
export const DIST = process.env['FAULTS_DIST'] ?? path.join(ROOT, 'dist');

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Program {
  readonly pid: number;
  readonly stdout: string;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process is gone and all of its output is read. */
  readonly ended: Promise<Ending>;
  readonly isRunning: boolean;
}

export interface Server extends Program {
  readonly port: number;
  readonly url: string;
}

type Env = Record<string, string | undefined>;

/** What every process is told; META_* lead nowhere, so that no sandbox starts. */
export function settings(databaseUrl: string): Env {
  return {
    NODE_ENV: 'development',
    DATABASE_URL: databaseUrl,
    DATA_DIR: path.join(scratch, 'data'),
    APP_ID: '512004470011223',
    APP_SECRET: META_SECRET,
    INSTAGRAM_APP_SECRET: INSTAGRAM_SECRET,
    META_GRAPH_BASE: 'http://127.0.0.1:9',
    META_DIALOG_BASE: 'http://127.0.0.1:9',
    VERIFY_TOKEN,
    SESSION_SECRET: 'session-secret-of-the-tests-0123456789',
    OAUTH_STATE_SECRET: 'state-secret-of-the-tests-0123456789abc',
    TOKEN_KEYS: 'k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
    BCRYPT_ROUNDS: '10',
    SCHEDULER: 'external',
    LOG_LEVEL: 'error',
  };
}

/** Runs a compiled program with this environment and nothing of ours but PATH. It never outlives the test file. */
export function startProgram(file: string, env: Env, directory = DIST): Program {
  const child = spawn(process.execPath, [path.join(directory, file)], {
    cwd: scratch,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const ended = new Promise<Ending>((resolve) => {
    child.once('close', (code, signal) => {
      children.delete(child);
      resolve({ code, signal, ...output });
    });
  });
  children.add(child);
  return {
    pid: child.pid!,
    get stdout() {
      return output.stdout;
    },
    signal: (signal) => child.kill(signal),
    ended,
    get isRunning() {
      return child.exitCode === null && child.signalCode === null;
    },
  };
}

/** A server that accepts connections, on a port that nobody else wanted. */
export async function startServer(env: Env, directory = DIST): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const port = env['PORT'] === undefined ? await freePort() : Number(env['PORT']);
    const program = startProgram('server.js', { ...env, PORT: String(port) }, directory);
    const hasEnded = program.ended.then(() => true);
    while (!/"message":"listening"|is running\. Open/.test(program.stdout)) {
      if (await Promise.race([hasEnded, sleep(20, false)])) break;
    }
    if (program.isRunning)
      // By its getters, hence not spread.
      return Object.assign(Object.create(program) as Program, { port, url: `http://localhost:${port}` });
    const { stderr } = await program.ended;
    if (attempt === 5 || !/is taken/.test(stderr)) throw new Error(`The server did not start: ${stderr}`);
  }
}

export function startProcessor(env: Env): Program {
  return startProgram('jobs/webhook-processor.js', { WEBHOOK_LINGER_SECONDS: '3600', ...env });
}

/** How the process ended. @throws Error when it still runs after that time */
export async function endOf(program: Program, withinSeconds: number): Promise<Ending> {
  const limit = new AbortController();
  const ending = await Promise.race([
    program.ended,
    sleep(withinSeconds * 1000, null, { signal: limit.signal }).catch(() => null),
  ]);
  limit.abort();
  if (ending === null) throw new Error(`The process still runs after ${withinSeconds} s.`);
  return ending;
}

/** Asks again until the answer is true. @throws Error naming what never came */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinSeconds = 60,
): Promise<void> {
  const deadline = Date.now() + withinSeconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Waited ${withinSeconds} s in vain until ${what}.`);
    await sleep(10);
  }
}

/**
 * The program as it would lie on another machine: no `.env`, a `.data` of its own, and with `migrations` an older
 * release that has only the first so many.
 */
export function makeInstallation(options: { migrations?: number } = {}): string {
  const root = fs.mkdtempSync(path.join(scratch, 'installation-'));
  fs.cpSync(DIST, path.join(root, 'dist'), { recursive: true });
  for (const name of ['node_modules', 'views', 'public', 'package.json'])
    fs.symlinkSync(path.join(ROOT, name), path.join(root, name));
  fs.mkdirSync(path.join(root, 'migrations'));
  for (const name of migrationNames().slice(0, options.migrations))
    fs.copyFileSync(path.join(ROOT, 'migrations', name), path.join(root, 'migrations', name));
  return root;
}

export function migrationNames(): string[] {
  return fs
    .readdirSync(path.join(ROOT, 'migrations'))
    .filter((name) => name.endsWith('.sql'))
    .sort();
}

const children = new Set<ChildProcess>();
// Named and marked like the directory of the test cluster: what a killed run leaves, the next one removes.
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'insta-connect-demo-test-'));
fs.writeFileSync(path.join(scratch, 'pid'), String(process.pid));

function killAll(): void {
  for (const child of children) child.kill('SIGKILL'); // ends a stopped process as well
}
process.once('exit', killAll);
afterAll(async () => {
  const gone = [...children].map((child) => new Promise((resolve) => child.once('close', resolve)));
  killAll();
  await Promise.all(gone);
  process.removeListener('exit', killAll);
  fs.rmSync(scratch, { recursive: true, force: true });
});
