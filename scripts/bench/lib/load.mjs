import net from 'node:net';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * HTTP over plain sockets: a request is one write, an answer is read up to its Content-Length. Cheaper than any client
 * library, because it shares the cores with what it measures.
 */
class Connection {
  #socket;
  #received = '';
  #waiting = null;

  static open(port) {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
      socket.once('connect', () => resolve(new Connection(socket)));
      socket.once('error', reject);
    });
  }

  constructor(socket) {
    this.#socket = socket.setEncoding('latin1');
    socket.on('data', (text) => this.#read(text));
    socket.on('error', () => this.#answer(0));
    socket.on('close', () => this.#answer(0));
  }

  /** @returns the status; 0 when the connection was lost */
  send(request) {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#socket.write(request);
    });
  }

  close() {
    this.#socket.destroy();
  }

  #read(text) {
    this.#received += text;
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#received)?.[1] ?? 0);
    if (this.#received.length < headEnd + 4 + length) return;
    const status = Number(this.#received.slice(9, 12));
    this.#received = '';
    this.#answer(status);
  }

  #answer(status) {
    const resolve = this.#waiting;
    this.#waiting = null;
    resolve?.(status);
  }
}

/**
 * Each connection sends the next request as soon as it has its answer.
 * @param makeRequest called for each request
 * @returns requests per second, latencies in milliseconds, every answer that is not 200 as an error
 */
export async function sendBackToBack({ port, connections, seconds, makeRequest }) {
  const opened = await Promise.all(Array.from({ length: connections }, () => Connection.open(port)));
  const latencies = [];
  const errors = new Map();
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const endAt = startedAt + seconds * 1000;
  await Promise.all(
    opened.map(async (connection) => {
      while (performance.now() < endAt) {
        const request = makeRequest();
        const sentAt = performance.now();
        const status = await connection.send(request);
        if (status === 200) latencies.push(performance.now() - sentAt);
        else errors.set(status, (errors.get(status) ?? 0) + 1);
        if (status === 0) return;
      }
    }),
  );
  const elapsedSeconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  for (const connection of opened) connection.close();
  return {
    answered: latencies.length,
    perSecond: latencies.length / elapsedSeconds,
    latency: percentiles(latencies),
    errors: Object.fromEntries(errors),
    /** Share of one core that the generator used: near 1, it and not the server is the limit. */
    generatorLoad: (user + system) / 1e6 / elapsedSeconds,
  };
}

/** Sends at a fixed rate, whether answers come or not. @returns how many answers were not 200 */
export async function sendAtRate({ port, perSecond, seconds, makeRequest }) {
  const idle = [];
  let failed = 0;
  const answers = [];
  await atRate({ perSecond, seconds }, () => {
    answers.push(
      (async () => {
        const connection = idle.pop() ?? (await Connection.open(port));
        if ((await connection.send(makeRequest())) === 200) idle.push(connection);
        else failed++;
      })(),
    );
  });
  await Promise.all(answers);
  for (const connection of idle) connection.close();
  return { sent: answers.length, failed };
}

/** Sends some requests, one after the other. @throws Error unless all are answered with 200 */
export async function sendAll(port, requests) {
  const connection = await Connection.open(port);
  for (const request of requests) {
    const status = await connection.send(request);
    if (status !== 200) throw new Error(`Answered with ${status}.`);
  }
  connection.close();
}

/** Calls `send` at a fixed rate; a late timer is made up for. */
export async function atRate({ perSecond, seconds }, send) {
  const startedAt = performance.now();
  for (let count = 0; count < perSecond * seconds; count++) {
    const wait = startedAt + (count * 1000) / perSecond - performance.now();
    if (wait > 0) await sleep(wait);
    send();
  }
}

export function percentiles(values) {
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
