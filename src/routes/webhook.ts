import { createHash, timingSafeEqual } from 'node:crypto';
import express, { type Request, type RequestHandler, Router } from 'express';
import { type AppContext } from '../context';
import { ForbiddenError, HttpError, UnauthorizedError, UnavailableError } from '../errors';
import { methodNotAllowed } from '../middleware/errorHandler';
import { readSignatureHeader, signedBy, signingSecrets } from '../meta/signature';
import { readDelivery } from '../meta/webhookPayload';
import { storeDelivery } from '../models/webhookDeliveries';
import { wakeProcessors } from '../models/webhookQueue';
import { logger } from '../utils/logger';

/** Meta batches up to a thousand updates into one POST. */
const BODY_LIMIT = '4mb';
const WAKE_DELAY_MS = 5;

/** Meta's callback: no session, no CSRF, no rate limit; the signature over the raw bytes decides. */
export function webhookRoutes({ config, intakePool }: AppContext): Router {
  const router = Router();
  const secrets = signingSecrets(config.meta);
  const wake = oncePer(WAKE_DELAY_MS, () => wakeProcessors(intakePool));

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

  router.post(
    '/webhook',
    signatureFirst,
    plainBytesOnly,
    express.raw({ type: () => true, limit: BODY_LIMIT, inflate: false }),
    async (req, res) => {
      // Without a body the parser leaves nothing; the empty body has a signature too.
      const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
      const secretName = signedBy(body, signatureOf(req), secrets);
      if (secretName === null) throw wrongSignature();
      const delivery = readDelivery(body);
      try {
        const { newEvents } = await storeDelivery(
          intakePool,
          { body, signedBy: secretName, contentType: req.get('Content-Type')?.slice(0, 200) ?? null },
          delivery,
        );
        if (newEvents > 0) wake();
      } catch (error) {
        // Whatever the reason, the delivery is not stored: Meta must send it again.
        throw new UnavailableError('Not stored. Send it again.', error);
      }
      res.type('text/plain').send('EVENT_RECEIVED');
    },
  );

  router.all('/webhook', methodNotAllowed('GET, POST'));
  return router;
}

/** Refuses what carries no signature before its body is read. */
const signatureFirst: RequestHandler = (req, _res, next) => {
  signatureOf(req);
  next();
};

/** A compressed body could inflate without bound, and Meta sends none. */
const plainBytesOnly: RequestHandler = (req, _res, next) => {
  const encoding = req.get('Content-Encoding') ?? 'identity';
  if (encoding !== 'identity')
    throw new HttpError(415, 'unsupported_media_type', 'Send the body uncompressed.');
  next();
};

/** @throws UnauthorizedError */
function signatureOf(req: Request): Buffer {
  const signature = readSignatureHeader(req.get('X-Hub-Signature-256'));
  if (signature === null) throw wrongSignature();
  return signature;
}

function wrongSignature(): UnauthorizedError {
  return new UnauthorizedError('X-Hub-Signature-256 does not match the body.');
}

function isSame(given: unknown, expected: string): boolean {
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return typeof given === 'string' && timingSafeEqual(digest(given), digest(expected));
}

/** Calls `work` soon, once for all calls until then; a failure only means that the processor's own polling wakes it. */
function oncePer(milliseconds: number, work: () => Promise<void>): () => void {
  let timer: NodeJS.Timeout | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      work().catch((error: unknown) => logger.warn('processors not woken', { error }));
    }, milliseconds);
  };
}
