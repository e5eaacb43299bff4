import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { sign } from '../../support/webhook';

/** The status, or null when the connection broke: then nobody knows whether the event was stored. */
export type Answer = number | null;

const PATIENCE_MS = 30_000;

/** POSTs signed bodies to one server over connections that stay open, as Meta and nginx do. */
export class Sender {
  private readonly agent: http.Agent;
  /** How often a 503 did not say when to come again. */
  refusalsWithoutDelay = 0;

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
        if (response.statusCode === 503 && !Number(response.headers['retry-after']))
          this.refusalsWithoutDelay++;
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
    const waiting = bodies.entries();
    const worker = async () => {
      for (const [id, body] of waiting) onAnswer(id, await this.post(body));
    };
    await Promise.all(Array.from({ length: this.concurrency }, worker));
  }

  /**
   * Sends what was refused again, as Meta does, until all is answered 200.
   * @returns the different answers
   * @throws Error when nothing was stored for a long time
   */
  async postUntilStored(
    bodies: ReadonlyMap<string, string>,
    onStored: (count: number) => void = () => undefined,
  ): Promise<Set<Answer>> {
    const answers = new Set<Answer>();
    const waiting = [...bodies.values()].reverse();
    let stored = 0;
    let lastStored = performance.now();
    const worker = async () => {
      for (let body = waiting.pop(); body !== undefined; body = waiting.pop()) {
        const answer = await this.post(body);
        answers.add(answer);
        if (answer === 200) {
          lastStored = performance.now();
          onStored(++stored);
        } else {
          if (performance.now() - lastStored > PATIENCE_MS) throw new Error('Nothing is stored any more.');
          waiting.unshift(body);
          await sleep(20);
        }
      }
    };
    await Promise.all(Array.from({ length: this.concurrency }, worker));
    return answers;
  }

  close(): void {
    this.agent.destroy();
  }
}
