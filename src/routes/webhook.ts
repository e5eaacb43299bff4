import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { Router } from 'express';
import { type AppContext } from '../context';
import { ForbiddenError, HttpError, UnauthorizedError } from '../errors';
import { readBody } from '../intake/readBody';
import { methodNotAllowed } from '../middleware/errorHandler';
import { readSignatureHeader, signedBy, signingSecrets } from '../meta/signature';
import { readDelivery } from '../meta/webhookPayload';
import { logger } from '../utils/logger';

/** Meta batches up to a thousand updates into one POST. */
const BODY_LIMIT = 4 * 1024 * 1024;
const RECEIVED = 'EVENT_RECEIVED';

/**
 * Takes Meta's notifications: the signature over the raw bytes decides, and 200 is said after COMMIT. No session, no
 * CSRF, no rate limit, no log line: this is called a thousand times for each page, so it stands before everything else and
 * speaks to Node directly.
 */
export function webhookIntakeRoute({ config, intake }: AppContext, isShuttingDown: () => boolean): Router {
  const router = Router();
  const secrets = signingSecrets(config.meta);

  async function take(req: IncomingMessage): Promise<void> {
    const signature = readSignatureHeader(header(req, 'x-hub-signature-256'));
    if (signature === null) throw wrongSignature();
    // A compressed body could inflate without bound, and Meta sends none.
    if ((req.headers['content-encoding'] ?? 'identity') !== 'identity')
      throw new HttpError(415, 'unsupported_media_type', 'Send the body uncompressed.');
    const body = await readBody(req, BODY_LIMIT);
    const secretName = signedBy(body, signature, secrets);
    if (secretName === null) throw wrongSignature();
    const contentType = header(req, 'content-type')?.slice(0, 200) ?? null;
    await intake.store({ ...readDelivery(body), body, signedBy: secretName, contentType });
  }

  // Not router.post(): that would also answer OPTIONS.
  router.use('/webhook', (req, res, next) => {
    if (req.method !== 'POST' || req.path !== '/') {
      next();
      return;
    }
    const headers = isShuttingDown() ? { ...HEADERS, Connection: 'close' } : HEADERS;
    take(req).then(
      () => res.writeHead(200, headers).end(RECEIVED),
      (error: unknown) => refuse(res, error),
    );
  });

  return router;
}

const HEADERS = {
  'Content-Type': 'text/plain; charset=utf-8',
  'Content-Length': RECEIVED.length,
  'X-Content-Type-Options': 'nosniff',
};

/** The connection ends with it: what is left of a refused body is not read. */
function refuse(res: ServerResponse, error: unknown): void {
  const requestId = randomUUID();
  const known = error instanceof HttpError ? error : null;
  if (known === null) logger.error('webhook failed', { requestId, error });
  const { status, code, message, retryAfterSeconds } =
    known ?? new HttpError(503, 'unavailable', 'Not stored. Send it again.', 5);
  const body = JSON.stringify({ error: { code, message, requestId } });
  res
    .writeHead(status, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
      'X-Content-Type-Options': 'nosniff',
      'Cache-Control': 'no-store',
      Connection: 'close',
      ...(retryAfterSeconds === undefined ? {} : { 'Retry-After': retryAfterSeconds }),
    })
    .end(body);
}

/** The handshake when the callback is configured, and the refusal of other methods. */
export function webhookHandshakeRoute({ config }: AppContext): Router {
  const router = Router();

  /** @see https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests */
  router.get('/webhook', (req, res) => {
    const challenge = req.query['hub.challenge'];
    const isOurs =
      req.query['hub.mode'] === 'subscribe' && isSame(req.query['hub.verify_token'], config.verifyToken);
    if (!isOurs) throw new ForbiddenError('The verify token is not ours.', 'wrong_verify_token');
    if (typeof challenge !== 'string' || !/^[0-9A-Za-z_-]{1,128}$/.test(challenge))
      throw new ForbiddenError('The challenge cannot be repeated.', 'bad_challenge');
    res.type('text/plain').send(challenge);
  });

  router.all('/webhook', methodNotAllowed('GET, POST'));

  return router;
}

function wrongSignature(): UnauthorizedError {
  return new UnauthorizedError('X-Hub-Signature-256 does not match the body.');
}

/** A header that was sent twice is read joined, as Node does, and so matches nothing. */
function header(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function isSame(given: unknown, expected: string): boolean {
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return typeof given === 'string' && timingSafeEqual(digest(given), digest(expected));
}
