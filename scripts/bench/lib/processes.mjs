import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { clearInterval, setInterval } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from './cluster.mjs';

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux that Node supports
const START_LIMIT_MS = 15_000;
const SAMPLE_MS = 100;

/** Nothing of ours outlives the benchmark. */
const running = new Set();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

/**
 * Starts a Node program in the project's directory; what it writes goes to a file, as it would go to the journal.
 * @param script path from the project's root
 * @returns `ended` resolves to what it wrote, and rejects when it ends with an error
 */
export function startProgram(script, env, logName = path.basename(script)) {
  const logFile = path.join(ROOT, '.data/bench', `${logName}.log`);
  fs.mkdirSync(path.dirname(logFile), { recursive: true });
  const log = fs.openSync(logFile, 'w');
  const child = spawn(process.execPath, [script], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', log, log],
  });
  fs.closeSync(log);
  running.add(child);
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      running.delete(child);
      const output = fs.readFileSync(logFile, 'utf8');
      if (code === 0 || signal === 'SIGTERM')
        // asked by us
        resolve(output);
      else reject(new Error(`${script} ended with ${code ?? signal}:\n${output.slice(-2000)}`));
    });
  });
  ended.catch(() => undefined); // looked at when the program is stopped
  return {
    pid: child.pid,
    ended,
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** What a contestant reports when it ends. */
export function lastLine(output) {
  return JSON.parse(output.trim().split('\n').at(-1));
}

/** Starts a program that listens on PORT, and waits until it does. */
export async function startServer(script, env, logName) {
  const port = await freePort();
  const program = startProgram(script, { ...env, PORT: String(port) }, logName);
  let hasEnded = false;
  void program.ended.finally(() => (hasEnded = true)).catch(() => undefined);
  for (const deadline = Date.now() + START_LIMIT_MS; Date.now() < deadline && !hasEnded;) {
    if (await canConnect(port)) return { ...program, port, url: `http://127.0.0.1:${port}` };
    await sleep(20);
  }
  if (!hasEnded) await program.stop();
  await program.ended;
  throw new Error(`${script} does not listen.`);
}

/** CPU seconds of a process, all its threads and its ended children. */
export function cpuSeconds(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  return sum(stat.slice(11, 15).map(Number)) / TICKS_PER_SECOND;
}

/** The same for a PostgreSQL with all its processes. */
export function clusterCpuSeconds(postmaster) {
  const children = fs
    .readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8')
    .trim()
    .split(' ');
  const living = children.map((pid) => {
    try {
      return cpuSeconds(pid);
    } catch {
      return 0; // ended meanwhile: then it is in the postmaster's own sum
    }
  });
  return cpuSeconds(postmaster) + sum(living);
}

/**
 * Follows a program's CPU time and memory until it ends or `stop` is called.
 * @returns stop(): CPU seconds since the start, peak of the resident memory in MB, and that memory after a quarter of the time
 */
export function watch(pid) {
  const atStart = cpuSeconds(pid);
  let last = { cpuSeconds: 0, rssPeakMb: 0 };
  const rssMb = [];
  const sample = () => {
    try {
      const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
      const megabytes = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)[1]) / 1024;
      last = { cpuSeconds: cpuSeconds(pid) - atStart, rssPeakMb: megabytes('VmHWM') };
      rssMb.push(megabytes('VmRSS'));
    } catch {
      // ended: the last sample stays
    }
  };
  const timer = setInterval(sample, SAMPLE_MS);
  return {
    stop() {
      sample();
      clearInterval(timer);
      return { ...last, rssAtQuarterMb: rssMb[Math.floor(rssMb.length / 4)] ?? 0 };
    },
  };
}

/** Below 32768, where no outgoing connection can take it in the meantime. */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const isFree = await new Promise((resolve) => {
      const server = net.createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

function canConnect(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
