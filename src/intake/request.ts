import { type IncomingMessage } from 'node:http';
import { BadRequestError, HttpError, UnavailableError } from '../errors';

export interface BodyLimits {
  /** Of one body, in bytes. */
  body: number;
  /** Of all bodies that are being read, together. */
  all: number;
}

/**
 * Reads the bytes of requests, exactly as they came. Nobody has proved anything while a body is being read, so all of
 * them share one amount of memory: when it is used up, the one that has been at it longest is given up.
 * @returns a function that throws HttpError: 413 beyond the limit, 503 when given up, 400 when the client breaks off
 */
export function createBodyReader(limits: BodyLimits): (req: IncomingMessage) => Promise<Buffer> {
  const reading = new Map<IncomingMessage, { size: number; reject: (error: Error) => void }>();
  let total = 0;

  function release(req: IncomingMessage): void {
    total -= reading.get(req)?.size ?? 0;
    reading.delete(req);
  }

  function makeRoom(): void {
    for (const [req, { reject }] of reading) {
      if (total <= limits.all) return;
      release(req);
      reject(new UnavailableError('Too many bodies at once. Send it again.'));
    }
  }

  return async (req) => {
    if (Number(req.headers['content-length'] ?? 0) > limits.body) throw tooLarge();
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        const collected = collectorOf(req);
        const entry = { size: 0, reject };
        reading.set(req, entry);
        req.on('data', (chunk: Buffer) => {
          if (!reading.has(req)) return; // refused: what still comes is thrown away
          entry.size += chunk.length;
          total += chunk.length;
          if (entry.size > limits.body) {
            reject(tooLarge());
            return;
          }
          collected.add(chunk);
          makeRoom();
        });
        req.once('end', () => resolve(collected.bytes()));
        const breakOff = () => reject(new BadRequestError('The body broke off.', 'body_incomplete'));
        req.once('error', breakOff);
        req.once('close', () => {
          if (!req.complete) breakOff();
        });
      });
    } finally {
      release(req);
    }
  };
}

/** From here on a body goes into memory of its announced size, so that its pieces are free at once. */
const LARGE_BYTES = 64 * 1024;

function collectorOf(req: IncomingMessage): { add(chunk: Buffer): void; bytes(): Buffer } {
  const announced = Number(req.headers['content-length'] ?? 0);
  if (announced < LARGE_BYTES) {
    const chunks: Buffer[] = [];
    return { add: (chunk) => chunks.push(chunk), bytes: () => Buffer.concat(chunks) };
  }
  const whole = Buffer.allocUnsafeSlow(announced);
  let size = 0;
  return {
    add(chunk) {
      size += chunk.copy(whole, size);
    },
    bytes: () => whole.subarray(0, size),
  };
}

function tooLarge(): HttpError {
  return new HttpError(413, 'too_large', 'The request is too large.');
}

/** A header that was sent twice is read joined, as Node does, and so matches nothing. */
export function header(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
