import { type IncomingMessage } from 'node:http';
import { header } from './request';
import { readSignatureHeader } from '../meta/signature';
import { type RejectionReason } from '../models/webhookRejections';
import { type Rejection } from './rejectionLog';

/**
 * What to write down of a request to the webhook's address that ended in this error. Null for handshakes, and for what
 * is not the sender's fault.
 * @param seen the address, asked while the connection was there, and the body if it was read
 */
export function rejectionOf(
  error: unknown,
  req: IncomingMessage,
  seen: { ip: string | undefined; body: Buffer | null },
): Rejection | null {
  const given = header(req, 'x-hub-signature-256');
  const reason = reasonOf(error, given);
  if (reason === null) return null;
  return {
    ...seen,
    reason,
    method: req.method ?? '',
    userAgent: req.headers['user-agent'],
    contentType: req.headers['content-type'],
    contentLength: req.headers['content-length'],
    signature: given,
  };
}

const REASONS: Readonly<Record<number, RejectionReason>> = {
  405: 'wrong_method',
  413: 'too_large',
  415: 'compressed',
};

function reasonOf(error: unknown, signature: string | undefined): RejectionReason | null {
  const { status, code } = error as { status?: unknown; code?: unknown };
  if (code === 'body_incomplete') return code;
  if (typeof status !== 'number') return null;
  if (status !== 401) return REASONS[status] ?? null;
  if (signature === undefined || signature === '') return 'missing_signature';
  return readSignatureHeader(signature) === null ? 'malformed_signature' : 'wrong_signature';
}
