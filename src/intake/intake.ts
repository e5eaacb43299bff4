import { type Pool } from 'pg';
import { UnavailableError } from '../errors';
import { readDelivery } from '../meta/webhookPayload';
import {
  isDataError,
  type SignedBody,
  type SignedDelivery,
  storeDeliveries,
  storeRefusedDelivery,
} from '../models/webhookDeliveries';
import { wakeProcessors } from '../models/webhookQueue';
import { logger } from '../utils/logger';

/** Takes deliveries in and answers for them only once they are durable. */
export interface Intake {
  /** Resolves after COMMIT. @throws UnavailableError when it cannot be stored now: Meta must send it again */
  store(signed: SignedBody): Promise<void>;
  /** Resolves when everything taken in is answered. */
  close(): Promise<void>;
}

export interface IntakeLimits {
  /** Deliveries in one statement. So many waiting start one more. */
  maxBatch: number;
  /** And their bytes; a larger delivery goes alone. */
  maxBatchBytes: number;
  /** Statements under way at once. */
  maxInFlight: number;
  /** Deliveries that may wait, and their bytes. Beyond it the answer is "later". */
  maxWaiting: number;
  maxWaitingBytes: number;
  /** How long a delivery may wait for its COMMIT, in milliseconds. */
  deadlineMs: number;
}

const LIMITS: IntakeLimits = {
  maxBatch: 200,
  maxBatchBytes: 256 * 1024,
  maxInFlight: 3,
  maxWaiting: 2_000,
  maxWaitingBytes: 8 * 1024 * 1024,
  deadlineMs: 5_000,
};
const WAKE_EVERY_MS = 20;

interface Waiting {
  signed: SignedBody;
  stored: () => void;
  refused: (error: unknown) => void;
}

/**
 * Group commit: what arrives while a statement is under way goes together into the next one, so that the price of a
 * COMMIT is shared by as many as wait for it, and nobody waits for a batch to fill.
 */
export function createIntake(pool: Pool, changes: Partial<IntakeLimits> = {}): Intake {
  const limits = { ...LIMITS, ...changes };
  const waiting: Waiting[] = [];
  const running = new Set<Promise<void>>();
  const wake = atMostEvery(WAKE_EVERY_MS, () => wakeProcessors(pool));
  let held = 0;
  let heldBytes = 0;

  /** One is under way at a time, since few large statements cost less than many small ones; more only under a crowd. */
  function mayStart(): boolean {
    const wanted = running.size === 0 ? 1 : limits.maxBatch;
    return waiting.length >= wanted && running.size < limits.maxInFlight;
  }

  function startBatches(): void {
    while (mayStart()) {
      const run = storeBatch(takeBatch()).finally(() => {
        running.delete(run);
        startBatches();
      });
      running.add(run);
    }
  }

  function takeBatch(): Waiting[] {
    let bytes = 0;
    const tooMany = waiting.findIndex(({ signed }, index) => {
      bytes += signed.body.length;
      return index > 0 && (index >= limits.maxBatch || bytes > limits.maxBatchBytes);
    });
    return waiting.splice(0, tooMany === -1 ? waiting.length : tooMany);
  }

  async function storeBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      // Read only now: what is taken apart needs several times the memory of its bytes.
      if ((await storeDeliveries(pool, batch.map(read))) > 0) wake.ask();
      for (const { stored } of batch) stored();
    } catch (error) {
      if (isDataError(error)) return storeOneByOne(batch);
      logger.warn('deliveries not stored', { count: batch.length, error });
      for (const { refused } of batch) refused(error);
    }
  }

  /** One of them holds something PostgreSQL refuses: its neighbours must not suffer for it. */
  async function storeOneByOne(batch: readonly Waiting[]): Promise<void> {
    const [only] = batch;
    if (only === undefined || batch.length > 1) {
      for (const entry of batch) await storeBatch([entry]);
      return;
    }
    try {
      await storeRefusedDelivery(pool, read(only));
      wake.ask();
      only.stored();
    } catch (error) {
      logger.error('a delivery cannot be stored', { error });
      only.refused(error);
    }
  }

  /** Gives up on one that waited too long; if its statement is under way, a late COMMIT does no harm. */
  function giveUp(entry: Waiting): void {
    const index = waiting.indexOf(entry);
    if (index !== -1) waiting.splice(index, 1);
    entry.refused(new Error(`Not stored within ${limits.deadlineMs} ms.`));
  }

  return {
    async store(signed) {
      const bytes = signed.body.length;
      if (held >= limits.maxWaiting || heldBytes + bytes > limits.maxWaitingBytes)
        throw notStored(new Error('Too many deliveries wait for the database.'));
      held++;
      heldBytes += bytes;
      let deadline: NodeJS.Timeout | undefined;
      try {
        await new Promise<void>((stored, refused) => {
          const entry = { signed, stored, refused };
          waiting.push(entry);
          deadline = setTimeout(giveUp, limits.deadlineMs, entry);
          startBatches();
        });
      } catch (error) {
        throw notStored(error);
      } finally {
        clearTimeout(deadline);
        held--;
        heldBytes -= bytes;
      }
    },
    async close() {
      while (running.size > 0) await Promise.all(running);
      await wake.settle();
    },
  };
}

function read({ signed }: Waiting): SignedDelivery {
  return { ...readDelivery(signed.body), ...signed };
}

function notStored(cause: unknown): UnavailableError {
  return new UnavailableError('Not stored. Send it again.', cause);
}

/** Does `work` at once, then at most once in that time; a failure only means that the processors' polling finds it. */
function atMostEvery(milliseconds: number, work: () => Promise<void>) {
  let last = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let isWanted = false;

  function run(): void {
    isWanted = false;
    timer = setTimeout(() => {
      timer = undefined;
      if (isWanted) run();
    }, milliseconds);
    last = work().catch((error: unknown) => {
      logger.warn('processors not woken', { error });
    });
  }

  return {
    ask() {
      isWanted = true;
      if (timer === undefined) run();
    },
    /** What was asked for is done, and nothing comes after it. */
    async settle() {
      clearTimeout(timer);
      if (isWanted) run();
      clearTimeout(timer);
      await last;
    },
  };
}
