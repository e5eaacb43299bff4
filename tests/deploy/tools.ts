import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

export const ROOT = path.resolve(__dirname, '../..');

/**
 * `it` for a test that needs programs beyond Node. Without them it is skipped and its name says what is missing;
 * with REQUIRE_TOOLS=1, as in CI, it fails instead.
 */
export function itWith(...tools: string[]): (name: string, body: jest.ProvidesCallback) => void {
  return itUnlessMissing(tools.filter((tool) => !isInstalled(tool)));
}

/** The same for a test that needs something else of the machine: the names of what is not there. */
export function itUnlessMissing(
  missing: readonly string[],
): (name: string, body: jest.ProvidesCallback) => void {
  if (missing.length === 0) return (name, body) => it(name, body);
  const reason = `needs ${missing.join(', ')}`;
  if (process.env['REQUIRE_TOOLS'] !== '1') return (name, body) => it.skip(`${name} (${reason})`, body);
  return (name) =>
    it(name, () => {
      throw new Error(reason);
    });
}

export function isInstalled(tool: string): boolean {
  return searchPath()
    .split(path.delimiter)
    .some((directory) => fs.existsSync(path.join(directory, tool)));
}

/** Programs of administrators are looked for as well: a plain user's PATH often lacks them. */
export function searchPath(): string {
  return [process.env['PATH'] ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(path.delimiter);
}

export function run(
  tool: string,
  args: string[],
  env: Record<string, string | undefined> = {},
): SpawnSyncReturns<string> {
  return spawnSync(tool, args, { encoding: 'utf8', env: { ...process.env, PATH: searchPath(), ...env } });
}

export interface Finished {
  code: number | null;
  output: string;
}

/** Like `run`, for programs that talk with a server of this very process. */
export async function runBeside(
  tool: string,
  args: string[],
  env: Record<string, string | undefined>,
): Promise<Finished> {
  const child = spawn(tool, args, { env: { ...process.env, PATH: searchPath(), ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, output };
}

export function temporaryDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'insta-deploy-'));
  afterAll(() => {
    fs.rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** Below 32768, where no outgoing connection can take it in the meantime. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = net.createServer();
      server.once('error', () => {
        resolve(false);
      });
      server.listen(port, '127.0.0.1', () => {
        server.close(() => {
          resolve(true);
        });
      });
    });
    if (isFree) return port;
  }
}

/** @returns the paths of a key and a certificate for the name, valid for 90 days */
export function selfSignedCertificate(directory: string, name: string): { key: string; certificate: string } {
  const key = path.join(directory, 'privkey.pem');
  const certificate = path.join(directory, 'fullchain.pem');
  const made = run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '90'],
    ...['-keyout', key, '-out', certificate, '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`],
  ]);
  if (made.status !== 0) throw new Error(made.stderr);
  return { key, certificate };
}
