import { type FailureCode, failureOf } from '../failures';
import { type MetaApiError } from '../meta/errors';

export interface Finding {
  /** Name of the Facebook Page it is about; null when about the login as a whole. */
  page: string | null;
  /** Text key below `oauth:finding`. */
  key: string;
  state: 'passed' | 'failed' | 'unknown';
}

/** Why a visit to Meta did not end in a connection; kept in the session, so nothing in it is secret. */
export interface ConnectFailure {
  code: FailureCode;
  /** The connection that was to be renewed. */
  accountId: string | null;
  /** ISO time. */
  at: string;
  /** What to quote to somebody who helps: codes of Meta, its trace id. */
  details: Record<string, string>;
  /** What was looked at and how it stood, where that explains the failure. */
  findings: Finding[];
}

export function connectFailure(
  code: FailureCode,
  known: Partial<Pick<ConnectFailure, 'accountId' | 'details' | 'findings'>> = {},
): ConnectFailure {
  return { code, accountId: null, at: new Date().toISOString(), details: {}, findings: [], ...known };
}

/** Thrown inside the connect workflow, and turned into an answer at its edge. */
export class ConnectError extends Error {
  constructor(readonly failure: ConnectFailure) {
    super(failure.code);
    this.name = 'ConnectError';
  }
}

/** @param code ours, where the call that failed tells more than Meta's answer */
export function failureOfCall(error: MetaApiError, code: FailureCode = failureOf(error)): ConnectFailure {
  const details = {
    status: String(error.status),
    ...(error.code === null ? {} : { metaCode: String(error.code) }),
    ...(error.subcode === null ? {} : { metaSubcode: String(error.subcode) }),
    ...(error.traceId === null ? {} : { fbtraceId: error.traceId }),
    message: error.message.slice(0, 300),
  };
  return connectFailure(code, { details });
}
