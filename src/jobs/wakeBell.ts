import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type DatabaseConfig } from '../config';
import { connectionOptions } from '../db/pool';
import { WAKE_CHANNEL } from '../models/webhookQueue';
import { logger } from '../utils/logger';

export interface WakeBell {
  /** Resolves when events were stored, at the latest after the time given, or when the signal is aborted. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 2_000;

/**
 * Listens on a connection of its own (LISTEN does not work through a pool). A lost connection is opened again at the next
 * wait; until then the time limit does the waking.
 */
export async function openWakeBell(database: DatabaseConfig): Promise<WakeBell> {
  let client: Client | null = null;
  let ring = nextRing();

  const connect = async () => {
    const candidate = new Client({
      ...connectionOptions(database),
      application_name: 'insta-connect-demo bell',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    candidate.on('error', () => (client = null));
    candidate.on('end', () => (client = null));
    candidate.on('notification', () => ring.resolve());
    try {
      await candidate.connect();
      await candidate.query(`LISTEN ${WAKE_CHANNEL}`);
      client = candidate;
    } catch (error) {
      logger.warn('cannot listen for new events, polling instead', { error: (error as Error).message });
      await candidate.end().catch(() => undefined);
    }
  };

  await connect();
  return {
    async wait(milliseconds, signal) {
      if (client === null) await connect();
      const timer = new AbortController();
      const anyStop = AbortSignal.any([signal, timer.signal]);
      await Promise.race([
        ring.promise,
        sleep(Math.max(0, milliseconds), undefined, { signal: anyStop }).catch(() => undefined),
      ]);
      timer.abort();
      ring = nextRing();
    },
    async close() {
      await client?.end().catch(() => undefined);
    },
  };
}

function nextRing(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
