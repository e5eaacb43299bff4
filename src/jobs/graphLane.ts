import { isDatabaseUnavailable } from '../db/errors';
import { type ClaimedEvent, handBack, type Lease, renewLease } from '../models/webhookQueue';
import { logger } from '../utils/logger';
import { claimInTurn } from './claimInTurn';
import { effectOf, fail, findOwner, finish, start, type StartedEvent } from './eventSteps';
import { type Run } from './webhook-processor';

/** Meta answers slowly and mostly waits; the accounts take turns. */
const CONCURRENCY = 16;

export interface GraphLane {
  /** Starts what is due, as far as there is room. @returns whether there may be more */
  step: () => Promise<boolean>;
  /** Resolves when nothing runs any more. */
  settle: () => Promise<void>;
}

/** The lane of events for which Meta must be asked: several at once, so that one that hangs holds up nobody. */
export function graphLane(run: Run): GraphLane {
  const claim = claimInTurn(run, 'graph');
  const running = new Set<Promise<void>>();

  return {
    async step() {
      if (running.size >= CONCURRENCY) await Promise.race(running);
      if (run.signal.aborted) return false;
      const { lease, events, mayBeMore } = await claim(CONCURRENCY - running.size);
      for (const event of events) {
        const task = processEvent(run, lease, event).finally(() => running.delete(task));
        running.add(task);
      }
      return mayBeMore;
    },
    async settle() {
      await Promise.all(running);
    },
  };
}

/** Never throws: what cannot be finished is handed back, or left to the end of its lease. */
async function processEvent(run: Run, lease: Lease, event: ClaimedEvent): Promise<void> {
  const { pool, signal } = run;
  try {
    const started = await start(run, lease, event);
    if (started === null) return;
    const renewal = setInterval(
      () => {
        renewLease(pool, lease, [event.id]).catch(() => undefined); // it then ends, and the fence holds
      },
      (lease.seconds * 1000) / 3,
    );
    try {
      await handle(run, lease, started);
    } catch (error) {
      if (signal.aborted || isDatabaseUnavailable(error)) throw error;
      await fail(run, lease, started, error);
    } finally {
      clearInterval(renewal);
    }
  } catch (error) {
    logger.warn('event handed back', { eventId: event.id, error });
    await handBack(pool, lease, [event.id]).catch(() => undefined); // else the lease ends it
  }
}

async function handle(run: Run, lease: Lease, event: StartedEvent): Promise<void> {
  const owner = await findOwner(run, lease, event);
  if (owner === null) return;
  await finish(run, run.pool, lease, event.startedAt, [effectOf(event, owner)]);
}
