import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { type AppContext } from '../context';
import { HttpError, UnauthorizedError } from '../errors';
import { readSignatureHeader, signedBy, signingSecrets } from '../meta/signature';
import { logger } from '../utils/logger';
import { createBodyReader, header } from './request';
import { rejectionOf } from './rejectionOf';

/** Meta batches up to a thousand updates into one POST. */
const BODY_LIMITS = { body: 4 * 1024 * 1024, all: 8 * 1024 * 1024 };
/** How long a refused sender may go on. */
const FINISH_MS = 2_000;
const RECEIVED = 'EVENT_RECEIVED';

/**
 * Takes Meta's notifications: the signature over the raw bytes decides, and 200 is said after COMMIT. No session, no CSRF,
 * no rate limit, no log line. It is called a thousand times for each page, so it speaks to Node directly.
 */
export function createReceiver(
  { config, intake, rejections }: AppContext,
  isShuttingDown: () => boolean,
): RequestListener {
  const secrets = signingSecrets(config.meta);
  const readBody = createBodyReader(BODY_LIMITS);

  return (req, res) => {
    const ip = clientAddress(req); // asked while the connection is there
    let body: Buffer | null = null;

    const take = async () => {
      const signature = readSignatureHeader(header(req, 'x-hub-signature-256'));
      if (signature === null) throw wrongSignature();
      // A compressed body could inflate without bound, and Meta sends none.
      if (!['', 'identity'].includes(header(req, 'content-encoding')?.trim().toLowerCase() ?? ''))
        throw new HttpError(415, 'unsupported_media_type', 'Send the body uncompressed.');
      body = await readBody(req);
      const secretName = signedBy(body, signature, secrets);
      if (secretName === null) throw wrongSignature();
      const contentType = header(req, 'content-type')?.slice(0, 200) ?? null;
      await intake.store({ body, signedBy: secretName, contentType });
    };

    take().then(
      () =>
        res.writeHead(200, isShuttingDown() ? { ...HEADERS, Connection: 'close' } : HEADERS).end(RECEIVED),
      (error: unknown) => {
        const rejection = rejectionOf(error, req, { ip, body });
        if (rejection !== null) rejections.note(rejection);
        refuse(res, error);
        throwAway(req);
      },
    );
  };
}

const HEADERS = {
  'Content-Type': 'text/plain; charset=utf-8',
  'Content-Length': RECEIVED.length,
  'X-Content-Type-Options': 'nosniff',
};

function refuse(res: ServerResponse, error: unknown): void {
  const requestId = randomUUID();
  const known = error instanceof HttpError ? error : null;
  if (known === null || known.status >= 500) logUnstored(requestId, error);
  const { status, code, message, retryAfterSeconds } =
    known ?? new HttpError(503, 'unavailable', 'Not stored. Send it again.', 5);
  const body = JSON.stringify({ error: { code, message, requestId } });
  res
    .writeHead(status, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
      'X-Content-Type-Options': 'nosniff',
      'Cache-Control': 'no-store',
      ...(retryAfterSeconds === undefined ? {} : { 'Retry-After': retryAfterSeconds }),
    })
    .end(body);
}

/** A connection closed on a sender that is still writing takes the answer away from it: it may finish, for a while. */
function throwAway(req: IncomingMessage): void {
  if (req.complete) return;
  req.resume();
  const end = setTimeout(() => req.socket.destroy(), FINISH_MS);
  req.once('close', () => clearTimeout(end));
  req.once('end', () => clearTimeout(end));
}

let lastLoggedAt = -Infinity;
let unlogged = 0;

/** One line a second at most, with how many it stands for: an outage refuses thousands. */
function logUnstored(requestId: string, error: unknown): void {
  if (performance.now() - lastLoggedAt < 1_000) {
    unlogged++;
    return;
  }
  logger.error('delivery not stored', { requestId, error, before: unlogged });
  lastLoggedAt = performance.now();
  unlogged = 0;
}

function wrongSignature(): UnauthorizedError {
  return new UnauthorizedError('X-Hub-Signature-256 does not match the body.');
}

/** As Express sees it with `trust proxy` on loopback: what a proxy on this machine says, else the peer. */
function clientAddress(req: IncomingMessage): string | undefined {
  const peer = req.socket.remoteAddress;
  const isLocal = peer === '127.0.0.1' || peer === '::1' || peer === '::ffff:127.0.0.1';
  const forwarded = isLocal ? header(req, 'x-forwarded-for') : undefined;
  return forwarded?.split(',').at(-1)?.trim() ?? peer;
}
