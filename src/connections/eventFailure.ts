import { failureOf } from '../failures';
import { MetaApiError } from '../meta/errors';
import { redactText } from '../utils/redact';
import { StoredTokenError } from './storedTokens';

/** A failure that no later attempt can cure: the event becomes a dead letter at once. */
export class PermanentError extends Error {
  /** @param code of `events:error`, or of the failure table; what follows a colon names what is missing */
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'PermanentError';
  }
}

/** Events with these wait for their connection to work again (requeueAfterReconnect). */
export const NEEDS_RECONNECT = 'needs_reconnect';
export const NEEDS_PERMISSION = 'needs_permission';

export interface EventFailure {
  /** failed: tried again while attempts are left. */
  outcome: 'failed' | 'dead_letter';
  errorCode: string;
  /** Redacted, at most 1 kB. */
  errorMessage: string;
  /** Meta asked to wait so long before the next attempt. */
  retryAfterSeconds: number | null;
}

const LONGEST_MESSAGE_BYTES = 1000;

/** What an attempt that threw means for its event. */
export function eventFailureOf(error: unknown): EventFailure {
  return {
    ...judge(error),
    errorMessage: shorten(redactText(error instanceof Error ? error.message : String(error))),
    retryAfterSeconds: error instanceof MetaApiError ? error.retryAfterSeconds : null,
  };
}

function judge(error: unknown): Pick<EventFailure, 'outcome' | 'errorCode'> {
  if (error instanceof PermanentError) return { outcome: 'dead_letter', errorCode: error.code };
  if (error instanceof StoredTokenError) {
    const errorCode = error.code === 'token_key_missing' ? error.code : NEEDS_RECONNECT;
    return { outcome: 'dead_letter', errorCode };
  }
  if (!(error instanceof MetaApiError)) return { outcome: 'failed', errorCode: 'processing_failed' };
  switch (error.action) {
    case 'retry':
    case 'ambiguous':
    case 'throttle':
      return { outcome: 'failed', errorCode: failureOf(error) };
    case 'reconnect':
      // A death that was confirmed comes as PermanentError: this one Meta does not stand by.
      return { outcome: 'failed', errorCode: 'token_check_disagrees' };
    case 'permission':
      return { outcome: 'dead_letter', errorCode: error.code === 3 ? failureOf(error) : NEEDS_PERMISSION };
    case 'operator':
      return { outcome: 'dead_letter', errorCode: failureOf(error) };
    case 'reject':
      return { outcome: 'dead_letter', errorCode: 'meta_refused' };
  }
}

/** Bytes, not characters; a character that would be cut in two is left out. */
function shorten(text: string): string {
  return Buffer.from(text)
    .subarray(0, LONGEST_MESSAGE_BYTES)
    .toString('utf8')
    .replace(/\ufffd+$/, '');
}
