import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo } from 'node:net';

export interface Received {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Receiver {
  url: string;
  /** Every POST so far, oldest first. */
  posts: Received[];
  /** Answers to the next POSTs, one each; afterwards 200. 0 leaves the request without an answer. */
  statuses: number[];
  verifyToken: string;
  close(): Promise<void>;
}

/** The app's side of the webhooks: confirms handshakes and remembers what it was sent. */
export async function startReceiver(): Promise<Receiver> {
  const receiver = { posts: [] as Received[], statuses: [] as number[], verifyToken: 'demo-verify-token' };
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const url = new URL(req.url ?? '/', 'http://receiver');
      if (req.method === 'GET') {
        const isRight = url.searchParams.get('hub.verify_token') === receiver.verifyToken;
        res.writeHead(isRight ? 200 : 403).end(url.searchParams.get('hub.challenge'));
        return;
      }
      const body = Buffer.concat(chunks).toString('utf8');
      receiver.posts.push({ method: 'POST', url: url.pathname, headers: req.headers, body });
      const status = receiver.statuses.shift() ?? 200;
      if (status !== 0) res.writeHead(status).end(status === 200 ? 'EVENT_RECEIVED' : 'no');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(receiver, {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  });
}
