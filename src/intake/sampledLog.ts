import { logger } from '../utils/logger';

/** Takes down what anybody can cause, at a bounded price: never slows its caller, never throws, never grows. */
export interface SampledLog<Entry> {
  note(entry: Entry): void;
  /** Writes what is in memory. Never rejects. */
  flush(): Promise<void>;
  /** The last flush; what is noted later is dropped. */
  close(): Promise<void>;
}

/** How often something of one kind happened in one hour, whether kept or not. */
export interface HourlyCount<Kind extends string> {
  /** Its beginning, by this machine's clock. */
  hour: Date;
  kind: Kind;
  count: number;
}

interface Options<Entry, Kept, Kind extends string> {
  name: string;
  kindOf: (entry: Entry) => Kind;
  /** Makes what is written from what is noted. Must hold on to nothing large of the entry. */
  keep: (entry: Entry) => Kept;
  /** In memory, about. */
  bytesOf: (kept: Kept) => number;
  write: (kept: Kept[], counts: HourlyCount<Kind>[]) => Promise<void>;
}

const FLUSH_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** The first ones of a kind in a minute show what is going on; a flood shows nothing more. */
export const KEPT_PER_MINUTE = 20;
const BUFFER_BYTES = 8 * 1024 * 1024;

/**
 * Keeps the first entries of a kind in each minute and counts the rest, in memory, and writes at most once a second.
 * When that fails, the entries are dropped and the counts kept for the next time.
 */
export function createSampledLog<Entry, Kept, Kind extends string>({
  name,
  kindOf,
  keep,
  bytesOf,
  write,
}: Options<Entry, Kept, Kind>): SampledLog<Entry> {
  let kept: Kept[] = [];
  let bytes = 0;
  let counts = new Map<string, HourlyCount<Kind>>();
  let minute = 0;
  let keptThisMinute = new Map<Kind, number>();
  let timer: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();
  let isClosed = false;

  function note(entry: Entry): void {
    if (isClosed) return;
    const kind = kindOf(entry);
    const now = Date.now();
    count({ hour: new Date(now - (now % HOUR_MS)), kind, count: 1 });
    if (isSampled(kind, now)) {
      const row = keep(entry);
      if (bytes + bytesOf(row) <= BUFFER_BYTES) {
        kept.push(row);
        bytes += bytesOf(row);
      }
    }
    timer ??= setTimeout(() => void flush(), FLUSH_MS).unref();
  }

  function isSampled(kind: Kind, now: number): boolean {
    const current = Math.floor(now / MINUTE_MS);
    if (current !== minute) {
      minute = current;
      keptThisMinute = new Map();
    }
    const before = keptThisMinute.get(kind) ?? 0;
    keptThisMinute.set(kind, before + 1);
    return before < KEPT_PER_MINUTE;
  }

  function count(more: HourlyCount<Kind>): void {
    const key = `${more.hour.getTime()} ${more.kind}`;
    const known = counts.get(key);
    if (known === undefined) counts.set(key, more);
    else known.count += more.count;
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(writeAll);
    return writing;
  }

  async function writeAll(): Promise<void> {
    if (counts.size === 0) return;
    const [rows, hours] = [kept, [...counts.values()]];
    kept = [];
    bytes = 0;
    counts = new Map();
    try {
      await write(rows, hours);
    } catch (error) {
      hours.forEach(count);
      logger.warn('intake record not written', { log: name, dropped: rows.length, error });
    }
  }

  return {
    note,
    flush,
    async close() {
      isClosed = true;
      await flush();
    },
  };
}
