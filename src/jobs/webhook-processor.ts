import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { type AppContext } from '../context';
import { isDatabaseAway } from '../db/errors';
import { type Db, transaction } from '../db/query';
import { interpret } from '../meta/interpret';
import { recordInteractions } from '../models/interactions';
import { lockInstagramAccount, recordLastEvent } from '../models/instagramAccounts';
import { adoptEvent } from '../models/webhookEvents';
import {
  claimEvents,
  type ClaimedEvent,
  finishAttempt,
  type Lease,
  releaseEvents,
  returnAttempt,
  rescueEvents,
  startAttempt,
} from '../models/webhookQueue';
import { logger } from '../utils/logger';
import { redactText } from '../utils/redact';
import { type JobSummary, runJob } from './runJob';
import { openWakeBell } from './wakeBell';

/** The safety net behind NOTIFY, and what makes the one-second retry punctual. */
const POLL_MS = 1_000;
/** A backlog larger than this takes is left to the next run, well before systemd would end this one. */
const DRAIN_LIMIT_MS = 60_000;

/** A failure that no later attempt can cure: the event becomes a dead letter at once. */
export class PermanentError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'PermanentError';
  }
}

/**
 * Processes what is due, then stays for WEBHOOK_LINGER_SECONDS, woken by every arrival. Any number may run at once. On
 * the stop signal the running event is finished and the unstarted ones are handed back.
 */
export async function processWebhookEvents(context: AppContext, signal: AbortSignal): Promise<JobSummary> {
  const { pool, config } = context;
  const summary = { processed: 0, ignored: 0, retrying: 0, deadLettered: 0, rescued: 0 };
  const worker = `${os.hostname()}:${process.pid}`;
  const lingerUntil = Date.now() + config.webhook.lingerSeconds * 1000;
  const drainUntil = Math.max(lingerUntil, Date.now() + DRAIN_LIMIT_MS);
  const bell = await openWakeBell(config.database);
  let rescueAt = performance.now();
  try {
    for (;;) {
      do {
        // Between batches too: else a dead worker's events would wait until the backlog is worked off.
        if (performance.now() >= rescueAt) {
          summary.rescued += await rescueEvents(pool);
          rescueAt = performance.now() + POLL_MS;
        }
        // until nothing is due, or the next run takes over
      } while (
        !isAborted(signal) &&
        Date.now() < drainUntil &&
        (await processBatch(context, worker, summary, signal))
      );
      if (signal.aborted || Date.now() >= lingerUntil) return summary;
      await bell.wait(Math.min(POLL_MS, lingerUntil - Date.now()), signal);
    }
  } finally {
    await bell.close();
  }
}

/** @returns false when nothing was due */
async function processBatch(
  { pool, config }: AppContext,
  worker: string,
  summary: JobSummary,
  signal: AbortSignal,
): Promise<boolean> {
  const lease: Lease = { token: randomUUID(), worker, seconds: config.webhook.leaseSeconds };
  const events = await claimEvents(pool, lease, config.webhook.batchSize);
  let done = 0;
  try {
    for (const event of events) {
      if (isAborted(signal)) break;
      const outcome = await processEvent(pool, event, lease);
      if (outcome !== null) summary[outcome] = (summary[outcome] ?? 0) + 1;
      done++;
    }
  } finally {
    if (done < events.length) await releaseEvents(pool, lease).catch(() => undefined); // else the lease ends it
  }
  return events.length > 0;
}

/** Asked through a function: it changes while the loop runs, which the compiler cannot know. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

type Outcome = 'processed' | 'ignored' | 'retrying' | 'deadLettered';

/** Null when another worker has taken the event over. */
async function processEvent(
  pool: AppContext['pool'],
  event: ClaimedEvent,
  lease: Lease,
): Promise<Outcome | null> {
  const attempt = await startAttempt(pool, event.id, lease);
  if (attempt === null) return null;
  const end = { eventId: event.id, startedAt: attempt.startedAt };
  try {
    return await transaction(pool, async (db) => {
      const outcome = await applyEvent(db, event);
      if ((await finishAttempt(db, lease, { ...end, outcome })) === null) throw new LeaseLostError();
      return outcome;
    });
  } catch (error) {
    if (error instanceof LeaseLostError) return null;
    if (isDatabaseAway(error)) {
      await returnAttempt(pool, event.id, lease).catch(() => undefined); // else the lease ends it
      throw error;
    }
    const isPermanent = error instanceof PermanentError;
    const errorCode = isPermanent ? error.code : 'processing_failed';
    const errorMessage = redactText((error as Error).message);
    logger.warn('event failed', { eventId: event.id, attempt: attempt.attempt, errorCode, error });
    const status = await finishAttempt(pool, lease, {
      ...end,
      outcome: isPermanent ? 'dead_letter' : 'failed',
      errorCode,
      errorMessage,
    });
    if (status === null) return null;
    return status === 'dead_letter' ? 'deadLettered' : 'retrying';
  }
}

class LeaseLostError extends Error {}

async function applyEvent(db: Db, event: ClaimedEvent): Promise<'processed' | 'ignored'> {
  if (event.payload === null) throw new PermanentError('unparseable', 'The stored payload is empty.');
  const owner =
    event.instagramAccountId !== null && event.userId !== null && event.igUserId !== null
      ? { instagramAccountId: event.instagramAccountId, userId: event.userId, igUserId: event.igUserId }
      : await adopt(db, event);
  if (owner === null) return 'ignored';
  await recordLastEvent(db, owner.instagramAccountId, event.receivedAt);
  const interaction = interpret({
    eventType: event.eventType,
    payload: event.payload,
    igUserId: owner.igUserId,
  });
  if (interaction === null) return 'ignored';
  const source = {
    ...owner,
    eventId: event.id,
    isTest: event.isTest,
    occurredAt: event.occurredAt ?? event.receivedAt,
  };
  await recordInteractions(db, [{ source, interaction }]);
  return 'processed';
}

/**
 * Looks for the owner of an event that has none. Whoever connects that account now either has finished, and is found, or
 * waits for us and then takes the finished event over (matchWaitingEvents).
 */
async function adopt(db: Db, { id, object, entryId }: ClaimedEvent) {
  if (object !== 'instagram' || entryId === null) return null;
  await lockInstagramAccount(db, entryId);
  return adoptEvent(db, id);
}

if (require.main === module) void runJob('webhook-processor', processWebhookEvents);
