import { redactText } from '../utils/redact';

/**
 * What to do about a refused or failed call:
 * - `retry`: the same call may work soon; `throttle`: after a cool-down
 * - `ambiguous`: a write that may have happened; look before doing it again
 * - `reconnect`: the token is dead; `permission`: it lacks a right
 * - `operator`: somebody who runs the server has to look; `reject`: this call will never work
 */
export type Action = 'retry' | 'throttle' | 'ambiguous' | 'reconnect' | 'permission' | 'operator' | 'reject';

/** What Meta's envelope says of an error; null where it says nothing. */
export interface EnvelopeError {
  code: number | null;
  subcode: number | null;
  isTransient: boolean;
}

export interface MetaApiErrorDetails extends EnvelopeError {
  /** HTTP status; 0 when there was no answer. */
  status: number;
  traceId: string | null;
  isWrite: boolean;
  /** How long Meta asks us to wait, where it does. */
  retryAfterSeconds: number | null;
}

const LONGEST_MESSAGE = 1000;

/** A call that did not work. The message is developer text, redacted; pages show the text of our own failure code. */
export class MetaApiError extends Error {
  readonly status: number;
  readonly code: number | null;
  readonly subcode: number | null;
  /** `fbtrace_id`: what Meta's support asks for. */
  readonly traceId: string | null;
  readonly retryAfterSeconds: number | null;
  readonly action: Action;

  constructor(message: string, details: MetaApiErrorDetails) {
    super(redactText(message).slice(0, LONGEST_MESSAGE));
    this.name = 'MetaApiError';
    this.status = details.status;
    this.code = details.code;
    this.subcode = details.subcode;
    this.traceId = details.traceId;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.action = classify(details);
  }

  /** Trying the same again cannot help. */
  get isPermanent(): boolean {
    return !['retry', 'throttle', 'ambiguous'].includes(this.action);
  }
}

interface Rule {
  codes: readonly number[] | { from: number; to: number };
  /** Absent: any subcode, also none. */
  subcodes?: readonly number[];
  action: Action;
}

/** The first rule that fits decides. Meta changes HTTP status and `type` at will; code and subcode it documents. */
const RULES: readonly Rule[] = [
  { codes: [4], subcodes: [2207051], action: 'reject' }, // looks like spam; shares its code with the app's limit
  { codes: [4, 17, 32, 341, 613], action: 'throttle' },
  { codes: [80000, 80001, 80002, 80003, 80004, 80005, 80006, 80008, 80009, 80014], action: 'throttle' },
  { codes: [102, 190], action: 'reconnect' },
  { codes: [10], subcodes: [1893063, 2018108, 2018278, 2534022], action: 'reject' }, // about one recipient
  { codes: [3, 10], action: 'permission' },
  { codes: { from: 200, to: 299 }, action: 'permission' },
  { codes: [368], action: 'operator' },
  { codes: [1], subcodes: [1357046], action: 'ambiguous' }, // the message was sent all the same
];
/** Server trouble: again for a read, ambiguous for a write. */
const TROUBLE: readonly number[] = [1, 2, -1, -2];

/** @see meta-platform §2.6; https://developers.facebook.com/docs/graph-api/guides/error-handling */
export function classify(error: EnvelopeError & { status: number; isWrite: boolean }): Action {
  const { code, subcode, status } = error;
  const again: Action = error.isWrite ? 'ambiguous' : 'retry';
  if (code === null) return classifyWithoutEnvelope(status, again);
  const rule = RULES.find(
    ({ codes, subcodes }) => holds(codes, code) && (subcodes?.includes(subcode ?? NaN) ?? true),
  );
  if (rule !== undefined) return rule.action;
  return TROUBLE.includes(code) || error.isTransient || status >= 500 ? again : 'reject';
}

/** Network trouble, an edge proxy's page, or an answer that promised success and cannot be read. */
function classifyWithoutEnvelope(status: number, again: Action): Action {
  if (status === 429) return 'throttle';
  return status < 300 || status >= 500 ? again : 'operator';
}

function holds(codes: Rule['codes'], code: number): boolean {
  return 'from' in codes ? code >= codes.from && code <= codes.to : codes.includes(code);
}
