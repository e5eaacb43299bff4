import { eventFailureOf, PermanentError } from '../connections/eventFailure';
import { type Db, transaction } from '../db/query';
import { type Interaction } from '../meta/interaction';
import { interpret } from '../meta/interpret';
import { lockInstagramAccount } from '../models/instagramAccounts';
import { adoptEvent, type EventOwner } from '../models/webhookEvents';
import {
  type ClaimedEvent,
  type EventEffect,
  failAttempt,
  finishEvents,
  type Lease,
  startAttempt,
} from '../models/webhookQueue';
import { logger } from '../utils/logger';
import { type Run } from './run';

/** An event whose attempt is charged. */
export interface StartedEvent extends ClaimedEvent {
  startedAt: Date;
}

/** Charges the attempt, unless the claim did. Null: somebody else has the event now, leave it. */
export async function start(
  { queuePool }: Run,
  lease: Lease,
  event: ClaimedEvent,
): Promise<StartedEvent | null> {
  const { startedAt } = event;
  if (startedAt !== null) return { ...event, startedAt };
  const attempt = await startAttempt(queuePool, event.id, lease);
  return attempt && { ...event, ...attempt };
}

/** Null for an event of an account that nobody had connected when it came. */
export function knownOwner({ instagramAccountId, userId, igUserId }: ClaimedEvent): EventOwner | null {
  if (instagramAccountId === null || userId === null || igUserId === null) return null;
  return { instagramAccountId, userId, igUserId };
}

/**
 * Looks for the owner of an event that has none, and without one ends it. Whoever connects that account now either has
 * finished, and is found, or waits for us and then takes the ended event over (matchWaitingEvents).
 */
export async function findOwner(run: Run, lease: Lease, event: StartedEvent): Promise<EventOwner | null> {
  const { id, object, entryId } = event;
  const known = knownOwner(event);
  if (known !== null) return known;
  if (object !== 'instagram' || entryId === null) {
    await finish(run, run.queuePool, lease, event.startedAt, [nothingFrom(event)]);
    return null;
  }
  return transaction(run.queuePool, async (db) => {
    await lockInstagramAccount(db, entryId);
    const owner = await adoptEvent(db, id);
    if (owner === null) await finish(run, db, lease, event.startedAt, [nothingFrom(event)]);
    return owner;
  });
}

/** What the event says; null when there is nothing to keep. @throws PermanentError */
export function meaningOf(
  { object, eventType, payload }: ClaimedEvent,
  { igUserId }: EventOwner,
): Interaction | null {
  if (payload === null) throw new PermanentError('unparseable', 'The stored payload is empty.');
  return interpret({ object, eventType, payload, igUserId });
}

export function effectOf(
  event: ClaimedEvent,
  owner: EventOwner,
  interaction: Interaction | null,
): EventEffect {
  if (interaction === null) return nothingFrom(event);
  const source = {
    userId: owner.userId,
    instagramAccountId: owner.instagramAccountId,
    eventId: event.id,
    isTest: event.isTest,
    occurredAt: event.occurredAt ?? event.receivedAt,
  };
  return { eventId: event.id, outcome: 'processed', effect: { source, interaction } };
}

/** Nobody's event, or one that is kept and shown as it came. @throws PermanentError */
export function nothingFrom({ id, payload }: ClaimedEvent): EventEffect {
  if (payload === null) throw new PermanentError('unparseable', 'The stored payload is empty.');
  return { eventId: id, outcome: 'ignored', effect: null };
}

/** Commits effects and counts them. @returns the ids that were still ours */
export async function finish(
  { summary }: Run,
  db: Db,
  lease: Lease,
  startedAt: Date,
  effects: readonly EventEffect[],
): Promise<string[]> {
  const ids = await finishEvents(db, lease, startedAt, effects);
  const ours = new Set(ids);
  for (const { eventId, outcome } of effects)
    if (ours.has(eventId)) summary[outcome] = (summary[outcome] ?? 0) + 1;
  return ids;
}

/** Writes down that an attempt failed, and when the next one is due, if any. */
export async function fail(run: Run, lease: Lease, event: StartedEvent, error: unknown): Promise<void> {
  const { outcome, errorCode, errorMessage, retryAfterSeconds } = eventFailureOf(error);
  logger.warn('event failed', { eventId: event.id, attempt: event.attempt, errorCode, error });
  const { id: eventId, startedAt } = event;
  const status = await failAttempt(run.queuePool, lease, {
    eventId,
    startedAt,
    outcome,
    errorCode,
    errorMessage,
    retryAfterSeconds,
  });
  if (status === null) return;
  const count = status === 'dead_letter' ? 'deadLettered' : 'retrying';
  run.summary[count] = (run.summary[count] ?? 0) + 1;
}
