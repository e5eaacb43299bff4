import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import tls from 'node:tls';
import net from 'node:net';
import path from 'node:path';
import { type Answer, ask, installSite, NAME, type Question, type Site, startSite } from './nginxSite';
import { isInstalled, itWith, run, selfSignedCertificate, temporaryDirectory } from './tools';

const itWithNginx = itWith('nginx', 'openssl');
const directory = temporaryDirectory();
const SIGNED = { 'X-Hub-Signature-256': `sha256=${createHmac('sha256', 'key').update('').digest('hex')}` };
const DROPPED = /socket hang up|ECONNRESET/;
let site: Site;

beforeAll(async () => {
  if (isInstalled('nginx') && isInstalled('openssl')) site = await startSite(directory);
});
afterAll(async () => {
  // Undefined where nginx is missing, or did not start.
  await (site as Site | undefined)?.stop();
});

const secure = (path: string, question: Partial<Question> = {}) =>
  ask({ port: site.httpsPort, path, ...question });
const plain = (path: string, question: Partial<Question> = {}) =>
  ask({ port: site.httpPort, path, isPlain: true, ...question });

describe('the nginx files', () => {
  itWithNginx('are accepted without a warning', () => {
    const fresh = path.join(directory, 'test');
    fs.mkdirSync(fresh);
    selfSignedCertificate(fresh, NAME);
    const main = installSite(fresh, { http: 8080, https: 8443, upstream: 3000 });
    const tested = run('nginx', ['-t', '-p', fresh, '-c', main]);
    // nginx 1.25 renamed what nginx 1.22 needs.
    const warnings = tested.stderr.split('\n').filter((line) => /\[(warn|emerg|error)\]/.test(line));
    expect(warnings.filter((line) => !line.includes('"listen ... http2" directive is deprecated'))).toEqual(
      [],
    );
    expect(tested.status).toBe(0);
  });
});

describe('plain HTTP', () => {
  itWithNginx('leads pages to HTTPS', async () => {
    const answer = await plain('/accounts?page=2');
    expect(answer.status).toBe(301);
    expect(answer.headers.location).toBe(`https://${NAME}/accounts?page=2`);
  });

  itWithNginx('refuses what machines and forms would send in the clear', async () => {
    for (const path of ['/webhook', '/WEBHOOK/', '/api/accounts', '/meta/deauthorize'])
      expect((await plain(path)).status).toBe(403);
    expect((await plain('/webhook', { method: 'POST', headers: SIGNED, body: '{}' })).status).toBe(403);
    expect((await plain('/auth/login', { method: 'POST', body: 'a=b' })).status).toBe(403);
    expect(site.upstream.seen).toEqual([]);
  });

  itWithNginx('serves the certificate authority its challenge', async () => {
    expect((await plain('/.well-known/acme-challenge/token')).body).toBe('challenge');
  });
});

describe('another name than ours', () => {
  itWithNginx('is dropped without an answer', async () => {
    await expect(plain('/', { host: 'evil.example' })).rejects.toThrow(DROPPED);
    await expect(plain('/', { host: '127.0.0.1' })).rejects.toThrow(DROPPED);
    await expect(secure('/', { host: 'evil.example', serverName: NAME })).rejects.toThrow(DROPPED);
  });

  itWithNginx('is not even offered a certificate', async () => {
    await expect(secure('/', { host: 'evil.example' })).rejects.toThrow(/unrecognized name/i);
  });
});

describe('what reaches the application', () => {
  itWithNginx('says who asked and how, and nothing the client made up', async () => {
    await secure('/x', {
      headers: {
        'X-Forwarded-For': '1.2.3.4',
        'X-Forwarded-Proto': 'http',
        'X-Forwarded-Host': 'evil.example',
        Forwarded: 'for=1.2.3.4',
        'X-Request-Id': 'made-up-by-the-client',
        'Accept-Encoding': 'gzip',
      },
    });
    const { headers } = site.upstream.seen.at(-1)!;
    expect(headers).toMatchObject({
      host: NAME,
      'x-forwarded-for': '1.2.3.4, 127.0.0.1',
      'x-forwarded-proto': 'https',
    });
    expect(headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
    for (const name of ['x-forwarded-host', 'forwarded', 'accept-encoding'])
      expect(headers).not.toHaveProperty(name);
  });

  itWithNginx('is never /metrics or /alerts', async () => {
    const before = site.upstream.seen.length;
    for (const path of ['/metrics', '/alerts', '/METRICS', '/metrics/', '/alerts?limit=1'])
      expect((await secure(path, { headers: { Authorization: 'Bearer x' } })).status).toBe(404);
    expect(site.upstream.seen).toHaveLength(before);
  });

  itWithNginx('has a method the site knows', async () => {
    for (const method of ['PUT', 'TRACE', 'OPTIONS', 'PROPFIND']) {
      const answer = await secure('/x', { method });
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toBe('GET, HEAD, POST, DELETE');
    }
    const answer = await secure('/webhook', { method: 'DELETE' });
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe('GET, HEAD, POST');
  });

  itWithNginx('is 100 kB at most, and 4 MB at the webhook', async () => {
    const post = (path: string, bytes: number) =>
      secure(path, { method: 'POST', headers: SIGNED, body: Buffer.alloc(bytes, 'x') });
    const chunked = (path: string, bytes: number) =>
      secure(path, {
        method: 'POST',
        headers: { ...SIGNED, 'Transfer-Encoding': 'chunked' },
        body: Buffer.alloc(bytes, 'x'),
      });
    expect((await post('/x', 102_400)).status).toBe(200);
    expect((await post('/x', 102_401)).status).toBe(413);
    expect((await post('/webhook', 4_194_304)).status).toBe(200);
    expect(site.upstream.seen.at(-1)!.bytes).toBe(4_194_304);
    expect((await post('/webhook', 4_194_305)).status).toBe(413);
    expect((await chunked('/webhook', 1_000_000)).status).toBe(200);
    expect((await chunked('/x', 300_000)).status).toBe(413);
  });

  itWithNginx('has one length only', async () => {
    const answer = await raw(
      site.httpPort,
      `POST / HTTP/1.1\r\nHost: ${NAME}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    );
    expect(answer.text).toMatch(/^HTTP\/1.1 400 /);
  });
});

describe('answers', () => {
  itWithNginx('carry HSTS and each other security header once', async () => {
    const fromApplication = await secure('/x');
    expect(valuesOf(fromApplication, 'Strict-Transport-Security')).toEqual([
      'max-age=63072000; includeSubDomains',
    ]);
    expect(valuesOf(fromApplication, 'Content-Security-Policy')).toEqual(["default-src 'self'"]);
    expect(valuesOf(fromApplication, 'X-Content-Type-Options')).toEqual(['nosniff']);

    const fromNginx = await secure('/metrics');
    expect(valuesOf(fromNginx, 'Strict-Transport-Security')).toEqual(['max-age=63072000; includeSubDomains']);
    expect(valuesOf(fromNginx, 'Content-Security-Policy')).toEqual([
      "default-src 'none'; frame-ancestors 'none'",
    ]);
    expect(valuesOf(fromNginx, 'X-Content-Type-Options')).toEqual(['nosniff']);
    expect(valuesOf(fromNginx, 'Server')).toEqual(['nginx']);
  });

  itWithNginx('are compressed, but not those of the webhook', async () => {
    const headers = { 'Accept-Encoding': 'gzip' };
    const page = await secure('/x', { headers });
    expect(page.headers['content-encoding']).toBe('gzip');
    expect(page.headers.vary).toContain('Accept-Encoding');
    const webhook = await secure('/webhook', { headers: { ...headers, ...SIGNED } });
    expect(webhook.headers).not.toHaveProperty('content-encoding');
  });

  itWithNginx('come over HTTP/2 where the client can', async () => {
    const protocol = await new Promise((resolve, reject) => {
      const socket = tls.connect(
        {
          port: site.httpsPort,
          host: '127.0.0.1',
          servername: NAME,
          ALPNProtocols: ['h2'],
          rejectUnauthorized: false,
        },
        () => {
          resolve(socket.alpnProtocol);
          socket.destroy();
        },
      );
      socket.on('error', reject);
    });
    expect(protocol).toBe('h2');
  });

  itWithNginx('of the event stream arrive while it is still open', async () => {
    const request = `GET /api/stream HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`;
    const text = await new Promise<string>((resolve, reject) => {
      let received = '';
      const socket = tls.connect(
        { port: site.httpsPort, host: '127.0.0.1', servername: NAME, rejectUnauthorized: false },
        () => socket.write(request),
      );
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        received += chunk;
        if (!received.includes('data: first')) return;
        socket.destroy();
        resolve(received);
      });
      socket.on('error', reject);
    });
    expect(text).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('floods', () => {
  itWithNginx('of signed webhooks all come through', async () => {
    const answers = await many(400, () =>
      secure('/webhook', { method: 'POST', headers: SIGNED, body: '{}' }),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });

  itWithNginx('of unsigned ones are stopped', async () => {
    const answers = await many(60, () => secure('/webhook', { method: 'POST', body: '{}' }));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(20);
    expect(refused[0]!.headers['retry-after']).toBe('5');
  });

  itWithNginx('of log-ins are stopped, while pages still come', async () => {
    const answers = await many(60, () => secure('/auth/login', { method: 'POST', body: 'a=b' }));
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(20);
    expect((await secure('/auth/login')).status).toBe(200);
  });
});

describe('slow clients', () => {
  itWithNginx('are cut while they drip their headers', async () => {
    const answer = await raw(site.httpPort, `GET / HTTP/1.1\r\nHost: ${NAME}\r\n`, 'X: y\r\n');
    expect(answer.milliseconds).toBeLessThan(5000);
  });

  itWithNginx('are cut by the application while they drip their body', async () => {
    const start = `POST /webhook HTTP/1.1\r\nHost: ${NAME}\r\nContent-Length: 1000\r\n\r\n`;
    const answer = await raw(site.httpsPort, start, 'x');
    expect(answer.text).toMatch(/^HTTP\/1.1 408 /);
    expect(answer.milliseconds).toBeLessThan(12_000);
  });
});

// Last: it takes the application away.
describe('the logs', () => {
  itWithNginx('tell what happened without what is secret in the address', async () => {
    await secure('/oauth/callback?code=canary-code&state=canary-state');
    await secure('/auth/reset/canary-reset?x=1', { headers: { Referer: `https://${NAME}/?canary-referer` } });
    await raw(
      site.httpPort,
      `GET /x"}\\ HTTP/1.1\r\nHost: ${NAME}\r\nUser-Agent: a"}\u00e4\u001b[31m\r\nConnection: close\r\n\r\n`,
    );
    await site.upstream.stop();
    const refused = await secure('/webhook?hub.verify_token=canary-token', { headers: SIGNED });
    expect(refused.status).toBe(502);
    expect(valuesOf(refused, 'Strict-Transport-Security')).toHaveLength(1);
    expect(refused.headers['retry-after']).toBe('5');

    // nginx writes the line after the answer.
    while (!site.readLog('access').includes('"502"')) await new Promise((resolve) => setTimeout(resolve, 10));
    const lines = site.readLog('access').trimEnd().split('\n');
    const entries = lines.map((line) => JSON.parse(line) as Record<string, string>);
    expect(entries.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/oauth/callback', '/auth/reset/[redacted]', '/webhook']),
    );
    expect(entries.at(-1)).toMatchObject({ method: 'GET', path: '/webhook', status: '502', ip: '127.0.0.1' });
    expect(site.readLog('access') + site.readLog('error')).not.toContain('canary');
  });
});

function valuesOf(answer: Answer, name: string): string[] {
  const { rawHeaders } = answer;
  return rawHeaders.filter(
    (_, at) => at % 2 === 1 && rawHeaders[at - 1]!.toLowerCase() === name.toLowerCase(),
  );
}

/** In groups, so that the test does not run out of sockets before nginx does. */
async function many(count: number, send: () => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = [];
  while (answers.length < count) answers.push(...(await Promise.all(Array.from({ length: 20 }, send))));
  return answers;
}

/** Writes as it is, then `drip` every tenth of a second, until the other side closes. */
async function raw(
  port: number,
  start: string,
  drip?: string,
): Promise<{ text: string; milliseconds: number }> {
  const startedAt = Date.now();
  const socket =
    port === site.httpsPort
      ? tls.connect({ port, host: '127.0.0.1', servername: NAME, rejectUnauthorized: false })
      : net.connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => undefined);
  socket.write(start);
  const timer = drip === undefined ? undefined : setInterval(() => socket.write(drip), 100);
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(timer);
  return { text, milliseconds: Date.now() - startedAt };
}
