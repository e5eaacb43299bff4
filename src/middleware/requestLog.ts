import { randomUUID } from 'node:crypto';
import { type RequestHandler } from 'express';
import { logContext, logger } from '../utils/logger';

const GIVEN_ID = /^[A-Za-z0-9._-]{8,64}$/;

/** Gives the request an id (nginx's, when it sent one) that stands on its log lines and error pages; one line per request. */
export const requestLog: RequestHandler = (req, res, next) => {
  const given = req.get('X-Request-Id') ?? '';
  const requestId = GIVEN_ID.test(given) ? given : randomUUID();
  const startedAt = process.hrtime.bigint();
  // Without the query string: it can carry codes, states and reset links.
  const path = req.originalUrl.split('?', 1)[0];
  const { ip } = req; // asked now: it is not known any more once the connection is gone
  Object.assign(res.locals, { requestId, ip });
  res.setHeader('X-Request-Id', requestId);
  res.once('close', () => {
    const milliseconds = Math.round(Number(process.hrtime.bigint() - startedAt) / 1e5) / 10;
    const level = res.statusCode >= 500 ? 'warn' : 'info';
    logger.log(level, 'request', {
      requestId,
      method: req.method,
      path,
      status: res.statusCode,
      milliseconds,
      ip,
    });
  });
  logContext.run({ requestId }, next);
};
