import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const ROOT = path.resolve(__dirname, '../..');

export interface DevelopmentServer {
  readonly url: string;
  readonly sandboxUrl: string;
}

/** The product as `npm start` runs it on a fresh machine: nothing configured, its own database and sandbox. Needs dist/. */
export function useDevelopmentServer(): DevelopmentServer {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'insta-connect-demo-start-'));
  let url = '';
  let server: ChildProcess;
  beforeAll(async () => {
    const port = await freePort();
    url = `http://localhost:${port}`;
    server = spawn(process.execPath, ['dist/server.js'], {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        DATA_DIR: dataDir,
        PORT: String(port),
        LOG_LEVEL: 'error',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await printed(server, /Open http/);
  }, 60_000);
  afterAll(async () => {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGTERM');
    await ended;
    fs.rmSync(dataDir, { recursive: true, force: true });
  }, 30_000);
  return {
    get url() {
      return url;
    },
    get sandboxUrl() {
      return fs.readFileSync(path.join(dataDir, 'sandbox.url'), 'utf8');
    },
  };
}

/** Below 32768: above, an outgoing connection may take the port between our asking and the start. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = net.createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
    await sleep(1);
  }
}

/** @throws Error with what it printed when the process ends first */
function printed(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (pattern.test(output)) resolve();
    });
    child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${output}`)));
  });
}
