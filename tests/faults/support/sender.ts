import http from 'node:http';
import { sign } from '../../support/webhook';

/** The status, or null when the connection broke: then nobody knows whether the event was stored. */
export type Answer = number | null;

/** POSTs signed bodies to one server over connections that stay open, as Meta and nginx do. */
export class Sender {
  private readonly agent: http.Agent;

  constructor(
    private readonly port: number,
    private readonly concurrency = 64,
  ) {
    this.agent = new http.Agent({ keepAlive: true, maxSockets: concurrency });
  }

  /** With `onReceived` the server is asked to say when it has read the headers; the body goes out after that. */
  post(body: string, onReceived?: () => void): Promise<Answer> {
    return new Promise((resolve) => {
      const request = http.request({
        agent: this.agent,
        host: '127.0.0.1',
        port: this.port,
        path: '/webhook',
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
          'X-Hub-Signature-256': sign(body),
          ...(onReceived === undefined ? {} : { Expect: '100-continue' }),
        },
      });
      request.once('error', () => resolve(null));
      request.once('response', (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode ?? null));
        response.once('close', () => resolve(null)); // broken off; after `end` it changes nothing
      });
      if (onReceived === undefined) request.end(body);
      else
        request.once('continue', () => {
          onReceived();
          request.end(body);
        });
    });
  }

  /** All of them, so many at once; `onAnswer` is told each answer as it comes. */
  async postAll(
    bodies: ReadonlyMap<string, string>,
    onAnswer: (id: string, answer: Answer) => void,
  ): Promise<void> {
    const waiting = bodies.entries(); // one iterator for all workers
    const worker = async () => {
      for (const [id, body] of waiting) onAnswer(id, await this.post(body));
    };
    await Promise.all(Array.from({ length: this.concurrency }, worker));
  }

  close(): void {
    this.agent.destroy();
  }
}
