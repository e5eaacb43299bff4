import { wasNotTried } from '../db/errors';
import { type ClaimedEvent, handBack, type Lease } from '../models/webhookQueue';
import { logger } from '../utils/logger';
import { claimInTurn } from './claimInTurn';
import {
  effectOf,
  fail,
  findOwner,
  finish,
  knownOwner,
  meaningOf,
  nothingFrom,
  start,
  type StartedEvent,
} from './eventSteps';
import { type Run } from './run';

/**
 * The lane of events whose handler needs nothing but the database. Fresh ones are processed a batch at a time in one
 * statement; what has failed or lost its worker before, alone.
 * @returns the step to repeat: it says whether there may be more
 */
export function directLane(run: Run): () => Promise<boolean> {
  const claim = claimInTurn(run, 'direct');
  return async () => {
    if (run.signal.aborted) return false;
    const { lease, events, mayBeMore } = await claim({ limit: run.config.webhook.batchSize });
    await processBatch(run, lease, events);
    return mayBeMore;
  };
}

async function processBatch(run: Run, lease: Lease, events: readonly ClaimedEvent[]): Promise<void> {
  const held = new Set(events.map(({ id }) => id));
  try {
    const fresh = events.filter((event): event is StartedEvent => event.startedAt !== null);
    for (const id of await processTogether(run, lease, fresh)) held.delete(id);
    for (const event of events) {
      if (run.signal.aborted) break;
      if (!held.has(event.id)) continue;
      await processAlone(run, lease, event);
      held.delete(event.id);
    }
  } finally {
    if (held.size > 0) await handBack(run.queuePool, lease, [...held]).catch(() => undefined); // else the lease ends it
  }
}

/** @returns the ids of those that are done; the others have to be tried alone */
async function processTogether(run: Run, lease: Lease, events: readonly StartedEvent[]): Promise<string[]> {
  const [first] = events;
  if (first === undefined) return [];
  const effects = events.flatMap((event) => {
    const owner = knownOwner(event);
    try {
      return [owner === null ? nothingFrom(event) : effectOf(event, owner, meaningOf(event, owner))];
    } catch {
      return []; // alone, its failure is written down
    }
  });
  try {
    await finish(run, run.queuePool, lease, first.startedAt, effects);
    return effects.map(({ eventId }) => eventId); // one that was no longer ours is somebody else's
  } catch (error) {
    if (wasNotTried(error)) throw error;
    logger.warn('a batch failed, its events are tried one by one', { error });
    return [];
  }
}

async function processAlone(run: Run, lease: Lease, event: ClaimedEvent): Promise<void> {
  const started = await start(run, lease, event);
  if (started === null) return;
  try {
    const owner = await findOwner(run, lease, started);
    if (owner === null) return;
    await finish(run, run.queuePool, lease, started.startedAt, [
      effectOf(event, owner, meaningOf(event, owner)),
    ]);
  } catch (error) {
    if (wasNotTried(error)) throw error;
    await fail(run, lease, started, error);
  }
}
