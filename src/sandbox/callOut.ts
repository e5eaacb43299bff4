import http from 'node:http';
import https from 'node:https';

export interface Reply {
  status: number;
  statusMessage: string;
  contentType: string;
  body: string;
}

export class NoAnswerInTime extends Error {}

/** Only so much of an answer is read: nobody needs more of it. */
const MAX_REPLY_BYTES = 64 * 1024;

/**
 * One request to the app, on a connection of its own and without following redirects.
 * @throws NoAnswerInTime after `timeoutMs`, or the error of the connection
 */
export function callOut(
  method: 'GET' | 'POST',
  url: string,
  options: { headers?: Record<string, string>; body?: string; timeoutMs: number; signal?: AbortSignal },
): Promise<Reply> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal]);
  return new Promise((resolve, reject) => {
    const client = url.startsWith('https:') ? https : http;
    const request = client.request(url, { method, agent: false, signal, headers: options.headers ?? {} });
    request.on('error', (error) => {
      reject(deadline.aborted ? new NoAnswerInTime() : error);
    });
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        if (size < MAX_REPLY_BYTES) chunks.push(chunk);
        size += chunk.length;
      });
      response.on('error', (error) => {
        reject(deadline.aborted ? new NoAnswerInTime() : error);
      });
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          statusMessage: response.statusMessage ?? '',
          contentType: response.headers['content-type'] ?? '',
          body: Buffer.concat(chunks).toString('utf8'),
        });
      });
    });
    request.end(options.body);
  });
}
