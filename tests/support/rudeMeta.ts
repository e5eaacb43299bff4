import http from 'node:http';
import { type AddressInfo } from 'node:net';

/** A Graph host that says exactly what a test wants, also what Meta never would. */
export interface RudeMeta {
  readonly url: string;
  /** Answers of `fb_exchange_token` by the token sent; others are renewed for 60 days. */
  readonly renewals: Map<string, RudeAnswer>;
  /** Answers of `debug_token` by the token asked about; others are called dead. */
  readonly debugged: Map<string, RudeAnswer>;
  /** Answers to reading a node, by its id. */
  readonly nodes: Map<string, RudeAnswer>;
  /** Called when a node is read, before its answer. */
  onNode: (() => void) | null;
  /** Renewals asked for, in order. */
  readonly asked: string[];
  /** The most renewals that were under way at the same time. */
  mostAtOnce: number;
  /** Milliseconds each renewal takes. */
  delayMs: number;
  /** Called when a renewal arrives, before its answer. */
  beforeAnswer: ((token: string) => Promise<void>) | null;
  clear(): void;
}

export interface RudeAnswer {
  status?: number;
  body?: string;
  headers?: Record<string, string>;
  /** The connection ends instead. */
  drop?: boolean;
  /** No answer at all. */
  hang?: boolean;
}

export function useRudeMeta(): RudeMeta {
  let url = '';
  let running = 0;
  const server = http.createServer((req, res) => {
    req.resume();
    void answer(req, res);
  });
  const meta: RudeMeta = {
    get url() {
      return url;
    },
    renewals: new Map(),
    debugged: new Map(),
    nodes: new Map(),
    onNode: null,
    asked: [],
    mostAtOnce: 0,
    delayMs: 0,
    beforeAnswer: null,
    clear() {
      meta.renewals.clear();
      meta.debugged.clear();
      meta.nodes.clear();
      meta.asked.length = 0;
      Object.assign(meta, { mostAtOnce: 0, delayMs: 0, beforeAnswer: null, onNode: null });
    },
  };

  async function answer(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(req.url ?? '', 'http://meta');
    const node = meta.nodes.get(pathname.split('/').at(-1) ?? '');
    if (node !== undefined) {
      meta.onNode?.();
      send(req, res, node);
      return;
    }
    const inspected = searchParams.get('input_token');
    if (inspected !== null) {
      send(req, res, meta.debugged.get(inspected) ?? { body: DEAD });
      return;
    }
    const token = searchParams.get('fb_exchange_token') ?? '';
    meta.asked.push(token);
    meta.mostAtOnce = Math.max(meta.mostAtOnce, ++running);
    await meta.beforeAnswer?.(token);
    await new Promise((resolve) => setTimeout(resolve, meta.delayMs));
    running--;
    send(req, res, meta.renewals.get(token) ?? { body: renewed(`${token}new`) });
  }

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => meta.clear());
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return meta;
}

export const DEAD =
  '{"data":{"is_valid":false,"error":{"code":190,"subcode":460,"message":"x"},"scopes":[]}}';
export const ALIVE = '{"data":{"is_valid":true,"app_id":"512004470011223","user_id":"1","scopes":[]}}';

export function renewed(token: string, expiresIn: unknown = 5_184_000): string {
  return JSON.stringify({ access_token: token, token_type: 'bearer', expires_in: expiresIn });
}

function send(req: http.IncomingMessage, res: http.ServerResponse, given: RudeAnswer): void {
  if (given.drop === true) req.socket.destroy();
  else if (given.hang !== true) {
    res
      .writeHead(given.status ?? 200, { 'Content-Type': 'application/json', ...given.headers })
      .end(given.body ?? '');
  }
}
