import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, ROOT, searchPath, selfSignedCertificate } from './tools';

const SOURCE = path.join(ROOT, 'deploy/nginx');
export const NAME = 'insta.example.com';

export interface Site {
  httpPort: number;
  httpsPort: number;
  upstream: Upstream;
  readLog(name: 'access' | 'error'): string;
  stop(): Promise<void>;
}

/** The site as it would be installed, in a directory of its own, with other ports and a self-signed certificate. */
export function installSite(
  directory: string,
  ports: { http: number; https: number; upstream: number },
): string {
  for (const folder of ['snippets', 'conf.d', 'acme/.well-known/acme-challenge', 'temp'])
    fs.mkdirSync(path.join(directory, folder), { recursive: true });
  fs.copyFileSync(path.join(SOURCE, 'common.conf'), path.join(directory, 'snippets/insta-connect-demo.conf'));
  // The wait itself is not what is tested.
  const limits = fs.readFileSync(path.join(SOURCE, 'limits.conf'), 'utf8');
  expect(limits).toContain('client_header_timeout 10s');
  fs.writeFileSync(
    path.join(directory, 'conf.d/limits.conf'),
    limits.replace('client_header_timeout 10s', 'client_header_timeout 1s'),
  );
  const site = fs
    .readFileSync(path.join(SOURCE, 'insta-connect-demo.conf'), 'utf8')
    .replaceAll(/^ *listen \[::\].*\n/gm, '')
    .replaceAll('listen 80', `listen 127.0.0.1:${ports.http}`)
    .replaceAll('listen 443', `listen 127.0.0.1:${ports.https}`)
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${ports.upstream}`)
    .replaceAll(`/etc/letsencrypt/live/${NAME}`, directory)
    .replaceAll('/var/log/nginx', directory)
    .replaceAll('/var/www/letsencrypt', `${directory}/acme`);
  fs.writeFileSync(path.join(directory, 'site.conf'), site);
  fs.writeFileSync(path.join(directory, 'acme/.well-known/acme-challenge/token'), 'challenge');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const main = path.join(directory, 'nginx.conf');
  fs.writeFileSync(
    main,
    `${process.getuid?.() === 0 ? 'user root;' : ''}
    worker_processes 1;
    pid ${directory}/nginx.pid;
    error_log ${directory}/main.log;
    events { worker_connections 512; }
    http {
      ${temporary.map((kind) => `${kind}_temp_path ${directory}/temp/${kind};`).join('\n')}
      include ${directory}/conf.d/*.conf;
      include ${directory}/site.conf;
    }`,
  );
  return main;
}

export async function startSite(directory: string): Promise<Site> {
  selfSignedCertificate(directory, NAME);
  const upstream = await startUpstream();
  for (let attempt = 1; ; attempt++) {
    const ports = { http: await freePort(), https: await freePort(), upstream: upstream.port };
    const main = installSite(directory, ports);
    const nginx = spawn('nginx', ['-p', directory, '-c', main, '-g', 'daemon off;'], {
      env: { ...process.env, PATH: searchPath() },
      stdio: 'ignore',
    });
    if (await answers(nginx, ports.https)) {
      return {
        httpPort: ports.http,
        httpsPort: ports.https,
        upstream,
        readLog: (name) => fs.readFileSync(path.join(directory, `insta-connect-demo.${name}.log`), 'utf8'),
        stop: async () => {
          const ended = new Promise((resolve) => nginx.once('exit', resolve));
          nginx.kill('SIGTERM');
          await Promise.all([ended, upstream.stop()]);
        },
      };
    }
    if (attempt === 5) throw new Error(fs.readFileSync(path.join(directory, 'main.log'), 'utf8'));
  }
}

/** False when it ended instead, because another program took a port in the meantime. */
async function answers(nginx: ChildProcess, port: number): Promise<boolean> {
  while (nginx.exitCode === null) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => {
        resolve(false);
      });
    });
    if (isOpen) return true;
    await sleep(20);
  }
  return false;
}

export interface Upstream {
  port: number;
  /** What reached it, in order. */
  seen: { method: string; url: string; headers: http.IncomingHttpHeaders; bytes: number }[];
  stop(): Promise<void>;
}

/** Stands where the application would: takes everything, and sends the headers that helmet sends. */
async function startUpstream(): Promise<Upstream> {
  const seen: Upstream['seen'] = [];
  const server = http.createServer(
    { connectionsCheckingInterval: 200, requestTimeout: 1500 },
    (request, response) => {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => (bytes += chunk.length));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        seen.push({ method, url, headers, bytes });
        response.setHeader('Strict-Transport-Security', 'max-age=31536000; includeSubDomains');
        response.setHeader('Content-Security-Policy', "default-src 'self'");
        response.setHeader('X-Content-Type-Options', 'nosniff');
        if (url.startsWith('/api/stream')) {
          response.setHeader('Content-Type', 'text/event-stream');
          response.write('data: first\n\n');
          return;
        }
        response.setHeader('Content-Type', 'text/html');
        response.end('<p>hello</p>'.repeat(500));
      });
    },
  );
  const port = await freePort();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port,
    seen,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** Names and values in turn, as they came: shows what was sent twice. */
  rawHeaders: string[];
  body: string;
}

export interface Question {
  port: number;
  path: string;
  method?: string;
  headers?: http.OutgoingHttpHeaders;
  body?: string | Buffer;
  /** In the Host header and in TLS. */
  host?: string;
  serverName?: string;
  isPlain?: boolean;
}

/** @throws the socket's error when the connection is dropped without an answer */
export function ask(question: Question): Promise<Answer> {
  const { port, path: target, method = 'GET', headers = {}, body, host = NAME } = question;
  const options = {
    host: '127.0.0.1',
    port,
    path: target,
    method,
    headers: { host, ...headers },
    agent: false,
  };
  return new Promise((resolve, reject) => {
    const request = question.isPlain
      ? http.request(options)
      : https.request({ ...options, servername: question.serverName ?? host, rejectUnauthorized: false });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode = 0, rawHeaders } = response;
        resolve({
          status: statusCode,
          headers: response.headers,
          rawHeaders,
          body: Buffer.concat(chunks).toString('latin1'),
        });
      });
    });
    request.end(body);
  });
}
