import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WATCHDOG_MARK } from './spawnTied';

export interface RunningServer {
  pid: number;
  port: number;
  /** Its owner is gone: nobody will stop it. */
  isOrphan: boolean;
}

/** The server that the data directory's pid file speaks of, if it really runs. */
export function findRunningServer(dataDir: string): RunningServer | null {
  let lines: string[];
  try {
    lines = fs.readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return null;
  }
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid) || !isServerOf(dataDir, pid)) return null;
  return { pid, port: Number(lines[3]), isOrphan: !parentCommand(pid).includes(WATCHDOG_MARK) };
}

/** Asks politely, then not. */
export async function stopServer(dataDir: string, pid: number): Promise<void> {
  for (const [signal, milliseconds] of [
    ['SIGINT', 8000],
    ['SIGQUIT', 4000],
    ['SIGKILL', 2000],
  ] as const) {
    if (findRunningServer(dataDir)?.pid !== pid) return;
    process.kill(pid, signal);
    for (
      const deadline = Date.now() + milliseconds;
      Date.now() < deadline && findRunningServer(dataDir)?.pid === pid;
    )
      await sleep(25);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The pid may have gone to another program since: a server's working directory is its data directory. */
function isServerOf(dataDir: string, pid: number): boolean {
  if (process.platform !== 'linux') return ps('command', pid).includes('postgres');
  try {
    return fs.realpathSync(`/proc/${pid}/cwd`) === fs.realpathSync(dataDir);
  } catch {
    return false;
  }
}

function parentCommand(pid: number): string {
  return ps('command', Number(ps('ppid', pid)));
}

function ps(field: string, pid: number): string {
  if (process.platform === 'linux') {
    try {
      if (field === 'command') return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1] ?? '';
    } catch {
      return '';
    }
  }
  return spawnSync('ps', ['-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
}
