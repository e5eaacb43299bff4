import { createHash } from 'node:crypto';
import { type Db } from '../db/query';
import { readSignatureHeader } from '../meta/signature';
import {
  type NewRejection,
  recordRejections,
  type RejectionReason,
  trimRejections,
} from '../models/webhookRejections';
import { createSampledLog, type SampledLog } from './sampledLog';

/** A request that the webhook's address refused, as it came. */
export interface Rejection {
  reason: RejectionReason;
  method: string;
  ip: string | undefined;
  userAgent: string | undefined;
  contentType: string | undefined;
  contentLength: string | undefined;
  /** X-Hub-Signature-256. */
  signature: string | undefined;
  /** Null when it was refused before its body was read. */
  body: Buffer | null;
}
export type RejectionLog = SampledLog<Rejection>;

/** A longer body cannot be checked again. */
export const BODY_BYTES_KEPT = 256 * 1024;
/** What the other columns of a row take, about. */
const ROW_BYTES = 1024;

/** @param db the general pool, not the intake's: what is refused must not take connections from what is stored */
export function createRejectionLog(db: Db): RejectionLog {
  return createSampledLog<Rejection, NewRejection, RejectionReason>({
    name: 'rejections',
    kindOf: ({ reason }) => reason,
    keep: rejectionRow,
    bytesOf: ({ body }) => ROW_BYTES + (body?.length ?? 0),
    async write(rows, counts) {
      await recordRejections(db, rows, counts);
      await trimRejections(db);
    },
  });
}

function rejectionRow({ body, signature, contentLength, ...rejection }: Rejection): NewRejection {
  return {
    receivedAt: new Date(),
    reason: rejection.reason,
    method: rejection.method.slice(0, 20),
    ip: rejection.ip?.slice(0, 45) ?? null,
    userAgent: rejection.userAgent?.slice(0, 200) ?? null,
    contentType: rejection.contentType?.slice(0, 200) ?? null,
    signature: keptSignature(signature),
    // A copy: a slice would hold on to all of the body.
    body: body === null ? null : Buffer.from(body.subarray(0, BODY_BYTES_KEPT)),
    bodySize: body === null ? sizeOf(contentLength) : String(body.length),
    bodySha256: body === null ? null : createHash('sha256').update(body).digest(),
  };
}

/** One that is misspelled may hold the right digest, which belongs nowhere but on the wire. */
function keptSignature(header: string | undefined): string | null {
  if (header === undefined || header === '') return null;
  return readSignatureHeader(header) === null ? `${header.slice(0, 12)}…` : header;
}

function sizeOf(contentLength: string | undefined): string | null {
  return /^\d{1,15}$/.test(contentLength ?? '') ? (contentLength ?? null) : null;
}
