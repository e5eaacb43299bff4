/**
 * A wrong request, answered with its status and message. Only these (and errors marked `expose`) decide a status;
 * everything else is ours or Meta's fault and answered 500 without its text.
 */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    /** Stable and documented; the JSON `error.code`. */
    readonly code: string,
    message: string,
    readonly retryAfterSeconds?: number,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.name = new.target.name;
  }
}

export class BadRequestError extends HttpError {
  constructor(message: string, code = 'bad_request') {
    super(400, code, message);
  }
}

export class UnauthorizedError extends HttpError {
  constructor(message = 'Log in first.') {
    super(401, 'unauthorized', message);
  }
}

export class ForbiddenError extends HttpError {
  constructor(message: string, code = 'forbidden') {
    super(403, code, message);
  }
}

export class NotFoundError extends HttpError {
  constructor(message = 'There is nothing here, or it is not yours.') {
    super(404, 'not_found', message);
  }
}

export class ConflictError extends HttpError {
  constructor(message: string, code = 'conflict') {
    super(409, code, message);
  }
}

export class TooManyRequestsError extends HttpError {
  constructor(retryAfterSeconds: number) {
    super(429, 'too_many_requests', 'Too many tries. Wait a little.', retryAfterSeconds);
  }
}

export class UnavailableError extends HttpError {
  constructor(message = 'Busy right now. Try again in a moment.', cause?: unknown) {
    super(503, 'unavailable', message, 5, cause);
  }
}
