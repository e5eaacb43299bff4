import { type ErrorRequestHandler, Router } from 'express';
import { type AppContext } from '../context';
import { ForbiddenError } from '../errors';
import { rejectionOf } from '../intake/rejectionOf';
import { judgeHandshake } from '../meta/handshake';
import { methodNotAllowed } from '../middleware/errorHandler';

/** The handshake when the callback is configured, and the refusal of other methods; POST is intake/receiver.ts. */
export function webhookRoutes({ config, rejections, handshakes }: AppContext): Router {
  const router = Router();

  const noteRejection: ErrorRequestHandler = (error: unknown, req, res, next) => {
    const rejection = rejectionOf(error, req, { ip: res.locals['ip'] as string | undefined, body: null });
    if (rejection !== null) rejections.note(rejection);
    next(error);
  };

  /** @see https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests */
  router.get('/webhook', (req, res) => {
    const verdict = judgeHandshake(req.query, config.verifyToken);
    handshakes.note({ ip: req.ip, userAgent: req.get('User-Agent'), verdict });
    if (verdict.outcome === 'bad_challenge')
      throw new ForbiddenError('The challenge cannot be repeated.', 'bad_challenge');
    if (verdict.challenge === null)
      throw new ForbiddenError('The verify token is not ours.', 'wrong_verify_token');
    res.type('text/plain').send(verdict.challenge);
  });

  router.all('/webhook', methodNotAllowed('GET, POST'));
  router.use('/webhook', noteRejection);
  return router;
}
