import { setTimeout as sleep } from 'node:timers/promises';
import { type AppContext } from '../context';
import { isDatabaseAway, isDatabaseUnavailable } from '../db/errors';
import { type Db } from '../db/query';
import { deleteExpiredRateLimits } from '../models/rateLimits';
import {
  type Batch,
  type BatchStep,
  deleteDeliveries,
  deleteEvents,
  deleteForgottenKeys,
  emptyDeliveries,
  emptyEvents,
  type Position,
  type QueuePart,
  readQueuePart,
  type RetentionDays,
  START,
} from '../models/retention';
import { type Due, getDue, MOST_COUNTED, RETENTION_KINDS } from '../models/retentionPreview';
import { deleteExpiredSessions } from '../models/sessions';
import { deleteOldRefreshAttempts } from '../models/tokenRefreshLog';
import { logger } from '../utils/logger';
import { type JobSummary, runJob, runProcess } from './runJob';

const LARGEST_BATCH = 1_000;
/** Where a walk begins. Slowness alone makes no batch smaller: on a busy disk the commit takes as long for one row. */
const SMALL_BATCH = 100;
/** A batch's size follows its duration: with large bodies or a slow disk a thousand rows can be much. */
const QUICK_MS = 50;
const SLOW_MS = 150;
/** Events of the queue looked at in one statement. */
const QUEUE_PART = 5_000;

/** One after the other; rows that go need not be emptied first. */
const stepsFor = (held: readonly string[]): readonly (readonly [count: string, step: BatchStep])[] => [
  ['sessionsDeleted', untilNone(deleteExpiredSessions)],
  ['rateLimitsDeleted', untilNone(deleteExpiredRateLimits)],
  ['refreshAttemptsDeleted', untilNone(deleteOldRefreshAttempts)],
  ['forgottenKeysDeleted', untilNone(deleteForgottenKeys)],
  ['eventsDeleted', deleteEvents('full')],
  ['eventsDeleted', deleteEvents('emptied')],
  ['deliveriesDeleted', deleteDeliveries('full', held)],
  ['deliveriesDeleted', deleteDeliveries('emptied', held)],
  ['bodiesEmptied', emptyDeliveries(held)],
  ['payloadsEmptied', emptyEvents],
];

/** Where a run must end, whatever is left. */
interface Limits {
  signal: AbortSignal;
  /** On performance.now(). */
  endAt: number;
}

/**
 * Empties and removes what is older than the settings allow, in small batches with as long a pause after each as it took.
 * Any number may run at once. It ends between two batches when it is stopped or its time is over; the next run goes on.
 * Dead letters and unfinished events stay and are counted.
 */
export async function purgeOldRows(
  { config, pool }: AppContext,
  signal: AbortSignal,
  milliseconds = Infinity,
): Promise<JobSummary> {
  const limits: Limits = { signal, endAt: performance.now() + milliseconds };
  const queue = await readQueue(pool, config.retention);
  const steps = stepsFor(queue.heldDeliveries);
  const summary: JobSummary = Object.fromEntries(steps.map(([count]) => [count, 0]));
  let stepsLeft = steps.length;
  for (const [count, step] of steps) {
    const { rows, isDone } = await walk((after, size) => step(pool, config.retention, after, size), limits);
    summary[count] = (summary[count] ?? 0) + rows;
    if (isDone) stepsLeft--;
  }
  return { ...summary, stepsLeft, oldDeadLetters: queue.deadLetters, oldUnfinished: queue.unfinished };
}

/** All that is not processed: what it holds back, and how much of it is old. */
async function readQueue(db: Db, days: RetentionDays): Promise<Omit<QueuePart, 'lastEventId'>> {
  const whole = { heldDeliveries: [] as string[], deadLetters: 0, unfinished: 0 };
  let after: string | null = START.id;
  while (after !== null) {
    const part: QueuePart = await readQueuePart(db, days, after, QUEUE_PART);
    whole.heldDeliveries.push(...part.heldDeliveries);
    whole.deadLetters += part.deadLetters;
    whole.unfinished += part.unfinished;
    after = part.lastEventId;
  }
  return whole;
}

/** Repeats a step from the oldest row on until it says that nothing is left. */
async function walk(
  next: (after: Position, size: number) => Promise<Batch>,
  { signal, endAt }: Limits,
): Promise<{ rows: number; isDone: boolean }> {
  let rows = 0;
  let size = SMALL_BATCH;
  let after: Position | null = START;
  while (after !== null && !signal.aborted && performance.now() < endAt) {
    const startedAt = performance.now();
    let batch: Batch | null = null;
    try {
      batch = await next(after, size);
    } catch (error) {
      if (!isBusy(error) || size === 1) throw error;
      logger.warn('retention batch took too long, trying a smaller one', { size, error });
    }
    const took = performance.now() - startedAt;
    if (batch === null) size = Math.ceil(size / 10);
    else {
      rows += batch.rows;
      after = batch.next;
      size = nextSize(size, took);
    }
    await sleep(took, undefined, { signal }).catch(() => undefined);
  }
  return { rows, isDone: after === null };
}

function nextSize(size: number, tookMs: number): number {
  if (tookMs > SLOW_MS && size > SMALL_BATCH) return Math.max(SMALL_BATCH, Math.round(size / 2));
  return tookMs < QUICK_MS ? Math.min(LARGEST_BATCH, size * 2) : size;
}

/** Too slow or in the way of others, which a smaller batch may mend. */
function isBusy(error: unknown): boolean {
  return isDatabaseUnavailable(error) && !isDatabaseAway(error);
}

/** For small tables whose old rows are found at once. */
function untilNone(remove: (db: Db, limit: number) => Promise<number>): BatchStep {
  return async (db, _days, after, limit) => {
    const rows = await remove(db, limit);
    return { rows, next: rows === 0 ? null : after };
  };
}

/** Says what a run would do now, and does nothing. */
async function preview({ config, pool }: AppContext): Promise<void> {
  const { payloadDays, eventDays } = config.retention;
  process.stdout.write(`Payloads are kept for ${payloadDays} days, events for ${eventDays}. Due now:\n`);
  const { heldDeliveries, deadLetters, unfinished } = await readQueue(pool, config.retention);
  for (const kind of RETENTION_KINDS)
    process.stdout.write(`${lineOf(kind, await getDue(pool, kind, config.retention, heldDeliveries))}\n`);
  process.stdout.write(
    `Older than ${eventDays} days and kept: ${deadLetters} dead letters, ${unfinished} unfinished events\n`,
  );
}

function lineOf(kind: string, { rows, oldest }: Due): string {
  const since = oldest === null ? '' : `  oldest ${oldest.toISOString()}`;
  return `  ${kind.padEnd(16)} ${countOf(rows).padStart(8)}${since}`;
}

function countOf(rows: number): string {
  return rows < MOST_COUNTED ? String(rows) : `${MOST_COUNTED}+`;
}

if (require.main === module) {
  if (process.argv.includes('--dry-run')) void runProcess('retention', preview);
  else void runJob('retention', purgeOldRows);
}
