import http from 'node:http';
import { type AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { z } from 'zod';
import { type MetaConfig } from '../../src/config';
import { appSecretProof, createGraphClient, type GraphClient } from '../../src/meta/client';
import { MetaApiError } from '../../src/meta/errors';

const TOKEN = 'EAADEMO-long-lived-token';
const SECRET = 'demo-meta-app-secret';
const TIMING = { callTimeoutMs: 300, deadlineMs: 2000, firstPauseMs: 5 };
const IdSchema = z.object({ id: z.string() });

type Reply = (req: http.IncomingMessage, res: http.ServerResponse) => void;

let replies: Reply[] = [];
let requests: { method: string; url: URL; body: string }[] = [];
let server: http.Server;
let graph: GraphClient;

beforeAll(async () => {
  server = http.createServer((req, res) => {
    let body = '';
    req.on('data', (chunk: Buffer) => (body += chunk.toString()));
    req.on('end', () => {
      requests.push({ method: req.method ?? '', url: new URL(req.url ?? '', 'http://meta'), body });
      (replies.length > 1 ? replies.shift() : replies[0])?.(req, res);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  graph = createGraphClient(metaAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), TIMING);
});
beforeEach(() => {
  replies = [];
  requests = [];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function metaAt(graphBase: string): MetaConfig {
  return {
    appId: '512004470011223',
    appSecrets: [SECRET, 'an-older-secret'],
    instagramAppSecrets: [],
    graphVersion: 'v26.0',
    dialogBase: graphBase,
    graphBase,
  };
}

const answer =
  (status: number, body: string, headers: Record<string, string> = {}): Reply =>
  (_req, res) => {
    res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body);
  };

const read = (signal?: AbortSignal) => graph.get({ path: '/me', token: TOKEN, schema: IdSchema, signal });
const write = () => graph.post({ path: '/1/subscribed_apps', token: TOKEN, schema: z.unknown() });

async function errorOf(work: Promise<unknown>): Promise<MetaApiError> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MetaApiError);
  expect(inspect(error, { depth: 10 })).not.toMatch(/EAADEMO|demo-meta-app-secret|5788462063/);
  return error as MetaApiError;
}

describe('a Graph call', () => {
  it('carries the version, the token and its proof', async () => {
    replies = [answer(200, '{"id":17841455500011123}')];
    expect(await read()).toEqual({ id: '17841455500011123' });
    const [request] = requests;
    expect(request!.url.pathname).toBe('/v26.0/me');
    expect(request!.url.searchParams.get('access_token')).toBe(TOKEN);
    expect(request!.url.searchParams.get('appsecret_proof')).toBe(
      '5788462063d00b55e8223634149665d6fb279639aac8f758e6cbb4e3f7017ba8',
    );
    expect(appSecretProof(TOKEN, SECRET)).toBe(request!.url.searchParams.get('appsecret_proof'));
  });

  it('sends a write in the body, so that no address holds the token', async () => {
    replies = [answer(200, '{"success":true}')];
    await write();
    expect(requests[0]!.url.search).toBe('');
    expect(new URLSearchParams(requests[0]!.body).get('access_token')).toBe(TOKEN);
  });

  it('reads the envelope of an error', async () => {
    const error = {
      message: `Bad token ${TOKEN}`,
      type: 'OAuthException',
      code: 190,
      error_subcode: 463,
      fbtrace_id: 'A1b',
      error_user_msg: 'Sign in again.',
    };
    replies = [answer(400, JSON.stringify({ error }))];
    expect(await errorOf(read())).toMatchObject({
      status: 400,
      code: 190,
      subcode: 463,
      traceId: 'A1b',
      action: 'reconnect',
      isPermanent: true,
    });
    expect(requests).toHaveLength(1);
  });

  it.each<[string, Reply, string]>([
    ['an HTML page', answer(502, '<html>Bad Gateway</html>', { 'Content-Type': 'text/html' }), 'retry'],
    ['an HTML page with status 200', answer(200, '<html></html>'), 'retry'],
    ['an empty body', answer(200, ''), 'retry'],
    ['cut JSON', answer(200, '{"id":"1"'), 'retry'],
    ['another shape', answer(200, '{"data":[]}'), 'retry'],
    ['null', answer(200, 'null'), 'retry'],
    ['an error with status 200', answer(200, '{"error":{"message":"x","code":1}}'), 'retry'],
    ['a string as error', answer(500, '{"error":"invalid_request"}'), 'retry'],
    ['a list as error', answer(503, '{"error":[]}'), 'retry'],
    [
      'the flat form',
      answer(400, '{"error_type":"OAuthException","code":400,"error_message":"x"}'),
      'operator',
    ],
    ['429 without JSON', answer(429, 'slow down'), 'throttle'],
    ['a redirect', answer(302, '', { Location: 'http://127.0.0.1:1/steal' }), 'operator'],
    ['an answer above the limit', answer(200, `{"id":"${'x'.repeat(3_000_000)}"}`), 'retry'],
    ['a dropped connection', (req) => req.socket.destroy(), 'retry'],
    ['silence', () => undefined, 'retry'],
    ['headers and then silence', (_req, res) => void res.writeHead(200).write('{"id"'), 'retry'],
  ])('survives %s', async (_name, reply, action) => {
    replies = [reply];
    expect(await errorOf(read())).toMatchObject({ action, isPermanent: action === 'operator' });
    expect(requests).toHaveLength(action === 'retry' ? 3 : 1);
  });

  it('succeeds when a later try does', async () => {
    replies = [answer(503, '{"error":{"code":2,"message":"x"}}'), answer(200, ''), answer(200, '{"id":"1"}')];
    expect(await read()).toEqual({ id: '1' });
  });

  it('never repeats a write or a call that works once', async () => {
    replies = [answer(503, '{"error":{"code":2,"message":"x"}}')];
    expect((await errorOf(write())).action).toBe('ambiguous');
    const once = graph.get({ path: '/oauth/access_token', schema: IdSchema, isRepeatable: false });
    expect((await errorOf(once)).action).toBe('ambiguous');
    expect((await errorOf(graph.delete({ path: '/1/x', token: TOKEN, schema: IdSchema }))).action).toBe(
      'ambiguous',
    );
    expect(requests).toHaveLength(3);
  });

  it('gives up a dripping answer at the time-out', async () => {
    const drip: Reply = (_req, res) => {
      const timer = setInterval(() => res.write(' '), 20);
      res.on('close', () => clearInterval(timer));
    };
    replies = [drip];
    const startedAt = Date.now();
    expect((await errorOf(write())).status).toBe(0);
    expect(Date.now() - startedAt).toBeLessThan(1500);
  });

  it('stops at once when told to', async () => {
    replies = [() => undefined];
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 50);
    const startedAt = Date.now();
    await errorOf(read(stop.signal));
    expect(Date.now() - startedAt).toBeLessThan(250);
    expect(requests).toHaveLength(1);
  });

  it('says how long Meta asks to wait', async () => {
    replies = [answer(429, '{"error":{"code":4,"message":"x"}}', { 'Retry-After': '120' })];
    expect((await errorOf(read())).retryAfterSeconds).toBe(120);
    const usage = '{"1784":[{"type":"instagram","call_count":110,"estimated_time_to_regain_access":7}]}';
    replies = [answer(400, '{"error":{"code":80002,"message":"x"}}', { 'X-Business-Use-Case-Usage': usage })];
    expect((await errorOf(read())).retryAfterSeconds).toBe(420);
  });
});
