import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type DatabaseConfig } from '../config';
import { connectionOptions } from '../db/pool';
import { WAKE_CHANNEL } from '../models/webhookQueue';
import { logger } from '../utils/logger';

export interface WakeBell {
  /** How often it rang. Read it before looking for work, and no ring is missed. */
  readonly rings: number;
  /** Rings for this process alone. */
  ring(): void;
  /** Resolves once it rang more often than `seen`, at the latest after the time given, or when the signal is aborted. */
  wait(seen: number, milliseconds: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 2_000;

/**
 * Listens on a connection of its own (LISTEN does not work through a pool). A lost connection is opened again at the next
 * wait; until then the time limit does the waking.
 */
export async function openWakeBell(database: DatabaseConfig): Promise<WakeBell> {
  const bell = new EventEmitter().setMaxListeners(0);
  let rings = 0;
  let client: Client | null = null;
  let connecting: Promise<void> | null = null;

  const ring = () => {
    rings++;
    bell.emit('ring');
  };

  async function connect(): Promise<void> {
    const candidate = new Client({
      ...connectionOptions(database),
      application_name: 'insta-connect-demo bell',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    const lose = () => {
      if (client === candidate) client = null;
    };
    candidate.on('error', lose);
    candidate.on('end', lose);
    candidate.on('notification', ring);
    try {
      await candidate.connect();
      await candidate.query(`LISTEN ${WAKE_CHANNEL}`);
      client = candidate;
    } catch (error) {
      logger.warn('cannot listen for new events, polling instead', { error: (error as Error).message });
      await candidate.end().catch(() => undefined);
    }
  }

  async function reconnect(): Promise<void> {
    connecting ??= connect().finally(() => (connecting = null));
    await connecting;
  }

  await reconnect();
  return {
    get rings() {
      return rings;
    },
    ring,
    async wait(seen, milliseconds, signal) {
      if (client === null) await reconnect();
      if (rings > seen || signal.aborted) return;
      const limit = new AbortController();
      const end = AbortSignal.any([signal, limit.signal]);
      await Promise.race([
        once(bell, 'ring', { signal: end }).catch(() => undefined),
        sleep(Math.max(0, milliseconds), undefined, { signal: end }).catch(() => undefined),
      ]);
      limit.abort();
    },
    async close() {
      await client?.end().catch(() => undefined);
    },
  };
}
