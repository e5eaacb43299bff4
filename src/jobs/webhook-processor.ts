import os from 'node:os';
import { type AppContext } from '../context';
import { isDatabaseUnavailable } from '../db/errors';
import { foldChanges } from '../models/webhookEventStats';
import { rescueEvents } from '../models/webhookQueue';
import { logger } from '../utils/logger';
import { directLane } from './directLane';
import { graphLane } from './graphLane';
import { type Run } from './run';
import { type JobSummary, runJob } from './runJob';
import { stepBulkRetries } from './stepBulkRetries';
import { openWakeBell } from './wakeBell';

/** The safety net behind NOTIFY, and what makes the one-second retry punctual. */
const POLL_MS = 1_000;
/** One thinks while the database works for the other. */
const DIRECT_LANES = 2;
/** A backlog larger than this takes is left to the next run, well before systemd would end this one. */
const DRAIN_LIMIT_MS = 60_000;

/**
 * Processes what is due, then stays for WEBHOOK_LINGER_SECONDS, woken by every arrival. Any number may run at once. On
 * the stop signal running events are finished or handed back.
 */
export async function processWebhookEvents(context: AppContext, signal: AbortSignal): Promise<JobSummary> {
  const { config } = context;
  const summary = { processed: 0, ignored: 0, retrying: 0, deadLettered: 0, rescued: 0 };
  const bell = await openWakeBell(config.database);
  const failure = new AbortController();
  const run: Run = {
    ...context,
    worker: `${os.hostname()}:${process.pid}`,
    signal: AbortSignal.any([signal, failure.signal]),
    wake: () => bell.ring(),
    summary,
  };
  const lingerUntil = Date.now() + config.webhook.lingerSeconds * 1000;
  const drainUntil = Math.max(lingerUntil, Date.now() + DRAIN_LIMIT_MS);

  /** Does `work` until nothing is due and the time is over; it says whether there may be more to do at once. */
  async function repeat(work: () => Promise<boolean>): Promise<void> {
    for (;;) {
      const seen = bell.rings;
      const hasMore = await survivingOutages(work);
      if (run.signal.aborted || Date.now() >= drainUntil) return;
      if (hasMore) continue;
      const rest = lingerUntil - Date.now();
      if (rest <= 0) return;
      await bell.wait(seen, Math.min(POLL_MS, rest), run.signal);
    }
  }

  let rescueAt = performance.now();
  /** Once a second, also during a backlog: else a dead worker's events would wait until it is worked off. */
  async function keepHouse(): Promise<void> {
    if (performance.now() < rescueAt) return;
    rescueAt = performance.now() + POLL_MS;
    summary.rescued += await rescueEvents(context.queuePool);
    await foldChanges(context.pool);
    await stepBulkRetries(context.pool);
  }

  const graph = graphLane(run);
  const lanes = [
    ...Array.from({ length: DIRECT_LANES }, () => {
      const step = directLane(run);
      return async () => {
        await keepHouse();
        return step();
      };
    }),
    graph.step,
  ];
  const ends = lanes.map((lane) =>
    repeat(lane).catch((error: unknown) => {
      failure.abort(error); // ends the other lanes as well
    }),
  );
  await Promise.all(ends);
  await graph.settle();
  await bell.close();
  if (failure.signal.aborted) throw failure.signal.reason;
  return summary;
}

/** A database that is away is waited for: the run goes on with it, or ends at its time. @returns false then */
async function survivingOutages(work: () => Promise<boolean>): Promise<boolean> {
  try {
    return await work();
  } catch (error) {
    if (!isDatabaseUnavailable(error)) throw error;
    logger.warn('the database does not answer', { error: (error as Error).message });
    return false;
  }
}

if (require.main === module) void runJob('webhook-processor', processWebhookEvents);
