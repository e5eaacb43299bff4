import { type Response } from 'express';

import { newTraceId } from '../ids';
import { envelope, type GraphErrorDetails } from './errors';

/** What goes over the wire, including the bad manners a fault may add. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  contentType: string;
  body: string;
  delayMs: number;
  manner: 'normal' | 'drip' | 'headersOnly' | 'dropBefore' | 'dropMiddle';
}

export function jsonAnswer(body: unknown, headers: Record<string, string> = {}, status = 200): Answer {
  return {
    status,
    headers,
    contentType: 'application/json; charset=UTF-8',
    body: JSON.stringify(body),
    delayMs: 0,
    manner: 'normal',
  };
}

export function errorAnswer(details: GraphErrorDetails, headers: Record<string, string> = {}): Answer {
  return jsonAnswer(envelope(details), { ...headers, ...details.headers }, details.status ?? 400);
}

const DRIP_PIECES = 8;

export async function sendAnswer(res: Response, answer: Answer, version: string | null): Promise<void> {
  if (answer.delayMs > 0 && answer.manner !== 'drip') await pause(answer.delayMs);
  if (answer.manner === 'dropBefore') {
    res.destroy();
    return;
  }
  const body = Buffer.from(answer.body);
  res.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': body.length,
    'cache-control': 'private, no-cache, no-store, must-revalidate',
    'x-fb-trace-id': newTraceId(),
    'x-fb-request-id': newTraceId(),
    'x-fb-rev': '1029000001',
    ...(version === null ? {} : { 'facebook-api-version': version }),
    ...answer.headers,
  });
  if (answer.manner === 'headersOnly') {
    res.flushHeaders();
  } else if (answer.manner === 'dropMiddle') {
    res.write(body.subarray(0, Math.floor(body.length / 2)), () => res.destroy());
  } else if (answer.manner === 'drip') {
    await drip(res, body, answer.delayMs);
  } else {
    res.end(body);
  }
}

async function drip(res: Response, body: Buffer, totalMs: number): Promise<void> {
  const size = Math.ceil(body.length / DRIP_PIECES);
  for (let start = 0; start < body.length && !res.destroyed; start += size) {
    await pause(totalMs / DRIP_PIECES);
    res.write(body.subarray(start, start + size));
  }
  res.end();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
