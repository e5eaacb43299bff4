import { fetchMissing } from '../connections/fetchMissing';
import { wasNotTried } from '../db/errors';
import { type ClaimedEvent, handBack, type Lease, renewLease } from '../models/webhookQueue';
import { logger } from '../utils/logger';
import { claimInTurn } from './claimInTurn';
import { effectOf, fail, findOwner, finish, meaningOf, start, type StartedEvent } from './eventSteps';
import { type Run } from './run';

/** Events in hand. Meta answers slowly and mostly waits, so the accounts are served side by side, each one event at a time. */
const CONCURRENCY = 16;
/** Of one account: one runs, and the next one is at hand. */
const PER_ACCOUNT = 2;
/** How the queue calls the account of events that are nobody's. */
const NOBODY = '0';

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
  const inHand = new Map<string, Promise<void>[]>();

  /** After the one of the same account before it: what that learns about the connection, the next one need not ask. */
  function begin(lease: Lease, event: ClaimedEvent): void {
    const account = event.instagramAccountId ?? NOBODY;
    const before = inHand.get(account) ?? [];
    const task = processEvent(run, lease, event, before.at(-1)).finally(() => {
      running.delete(task);
      const left = inHand.get(account)?.filter((other) => other !== task) ?? [];
      if (left.length === 0) inHand.delete(account);
      else inHand.set(account, left);
      run.wake(); // there is room again
    });
    running.add(task);
    inHand.set(account, [...before, task]);
  }

  return {
    async step() {
      if (running.size >= CONCURRENCY) await Promise.race(running);
      if (run.signal.aborted) return false;
      const { lease, events, mayBeMore } = await claim({
        limit: CONCURRENCY - running.size,
        most: PER_ACCOUNT,
        except: [...inHand].filter(([, tasks]) => tasks.length >= PER_ACCOUNT).map(([account]) => account),
      });
      for (const event of events) begin(lease, event);
      return mayBeMore;
    },
    async settle() {
      await Promise.all(running);
    },
  };
}

/** Never throws: what cannot be finished is handed back, or left to the end of its lease. */
async function processEvent(
  run: Run,
  lease: Lease,
  event: ClaimedEvent,
  before: Promise<void> | undefined,
): Promise<void> {
  const { queuePool, signal } = run;
  const renewal = setInterval(
    () => {
      renewLease(queuePool, lease, [event.id]).catch(() => undefined); // it then ends, and the fence holds
    },
    (lease.seconds * 1000) / 3,
  );
  try {
    await before;
    if (signal.aborted) throw new Error('The run was stopped.');
    const started = await start(run, lease, event);
    if (started !== null) await tryEvent(run, lease, started);
  } catch (error) {
    logger.info('event handed back', { eventId: event.id, error });
    await handBack(queuePool, lease, [event.id]).catch(() => undefined); // else the lease ends it
  } finally {
    clearInterval(renewal);
  }
}

/** @throws Error when it was stopped, or the database is away */
async function tryEvent(run: Run, lease: Lease, event: StartedEvent): Promise<void> {
  try {
    await handle(run, lease, event);
  } catch (error) {
    if (run.signal.aborted || wasNotTried(error)) throw error;
    await fail(run, lease, event, error);
  }
}

async function handle(run: Run, lease: Lease, event: StartedEvent): Promise<void> {
  const owner = await findOwner(run, lease, event);
  if (owner === null) return;
  const known = meaningOf(event, owner);
  const complete = known && (await fetchMissing(run, owner, known, run.signal));
  await finish(run, run.queuePool, lease, event.startedAt, [effectOf(event, owner, complete)]);
}
