import { type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import { type TFunction } from 'i18next';
import { isDatabaseUnavailable } from '../db/errors';
import { ForbiddenError, HttpError, NotFoundError, UnavailableError } from '../errors';
import { type Format } from '../utils/format';
import { logger } from '../utils/logger';
import { wantsJson } from './wantsJson';

export const notFound: RequestHandler = () => {
  throw new NotFoundError();
};

/**
 * The one place where errors become answers. Below 500 the message is shown; from 500 on only the request id, under
 * which the log has the rest.
 */
export const errorHandler: ErrorRequestHandler = (error: unknown, req, res, next) => {
  if (res.headersSent) {
    next(error);
    return;
  }
  const known = asHttpError(error);
  const status = known?.status ?? 500;
  const requestId = String(res.locals['requestId'] ?? '');
  if (status >= 500)
    logger.error('request failed', { requestId, method: req.method, path: req.path, error: known ?? error });
  if (known?.retryAfterSeconds !== undefined) res.setHeader('Retry-After', String(known.retryAfterSeconds));
  res.setHeader('Cache-Control', 'no-store');
  res.status(status);

  const code = known?.code ?? 'internal';
  const message = messageFor(res.locals, code, known);
  if (wantsJson(req)) {
    res.json({ error: { code, message, requestId } });
    return;
  }
  const title = titleFor(res.locals['t'] as TFunction | undefined, status);
  res.render('error', { status, title, message, requestId }, (renderError: Error | null, html?: string) => {
    if (renderError === null) res.send(html);
    else {
      logger.error('the error page failed', { requestId, error: renderError });
      res.type('text/plain').send(`${status} ${message}\n${requestId}\n`);
    }
  });
};

/** Only our own errors, and those of the body parser and router that say a status and may be shown. */
function asHttpError(error: unknown): HttpError | null {
  if (error instanceof HttpError) return error;
  if (isDatabaseUnavailable(error)) return new UnavailableError(undefined, error);
  if (!(error instanceof Error)) return null;
  const { code, status, expose } = error as { code?: unknown; status?: unknown; expose?: unknown };
  if (code === 'EBADCSRFTOKEN')
    return new ForbiddenError(
      'The form is too old or came from elsewhere. Go back, reload the page and try again.',
      'csrf',
    );
  if (error instanceof URIError) return new HttpError(400, 'bad_request', 'That address cannot be read.');
  if (expose === true && typeof status === 'number' && status >= 400 && status < 500)
    return new HttpError(
      status,
      BODY_CODES[status] ?? 'bad_request',
      BODY_MESSAGES[status] ?? 'The request cannot be read.',
    );
  return null;
}

const BODY_CODES: Readonly<Record<number, string>> = { 413: 'too_large', 415: 'unsupported_media_type' };
const BODY_MESSAGES: Readonly<Record<number, string>> = {
  413: 'The request is too large.',
  415: 'The request is written in a way this page does not read.',
};

const TITLED = new Set([400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503]);

/** There unless the error came before them. */
interface PageTexts {
  t?: TFunction;
  exists?: (key: string) => boolean;
  format?: Format;
}

/** What the catalogue says of the code; without an entry, below 500, what exactly was wrong. */
function messageFor({ t, exists, format }: PageTexts, code: string, known: HttpError | null): string {
  const isOurs = known === null || known.status >= 500;
  if (t === undefined || exists === undefined)
    return isOurs ? 'Something went wrong on our side. Try again in a moment.' : known.message;
  const wait = format?.duration((known?.retryAfterSeconds ?? 60) * 1000);
  if (exists(`errors:message.${code}`)) return t(`errors:message.${code}`, { wait, detail: known?.message });
  return isOurs ? t('errors:message.internal') : known.message;
}

function titleFor(t: TFunction | undefined, status: number): string {
  if (t === undefined) return `Error ${status}`;
  return t(`errors:title.${TITLED.has(status) ? status : status >= 500 ? 500 : 400}`);
}

/** Answers 405 with Allow for the methods a path does not know. */
export function methodNotAllowed(allowed: string): RequestHandler {
  return (_req: Request, res) => {
    res.setHeader('Allow', allowed);
    throw new HttpError(405, 'method_not_allowed', `This address takes ${allowed} only.`);
  };
}
