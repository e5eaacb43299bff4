import { type IncomingMessage } from 'node:http';
import { BadRequestError, HttpError } from '../errors';

/** The bytes of a request, exactly as they came. @throws HttpError 413 beyond `limit` bytes, 400 when the client breaks off */
export function readBody(req: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(req.headers['content-length'] ?? 0) > limit) {
      reject(tooLarge());
      return;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else {
        chunks.length = 0;
        reject(tooLarge());
      }
    });
    req.once('end', () => resolve(Buffer.concat(chunks)));
    const breakOff = () => reject(new BadRequestError('The body broke off.', 'body_incomplete'));
    req.once('error', breakOff);
    req.once('close', () => {
      if (!req.complete) breakOff();
    });
  });
}

function tooLarge(): HttpError {
  return new HttpError(413, 'too_large', 'The request is too large.');
}

/** A header that was sent twice is read joined, as Node does, and so matches nothing. */
export function header(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
