// graphile-worker as a worker: settings.preset is its own configuration.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, run } from 'graphile-worker';
import { applyJobs, report, settings, stopSignal } from './jobs.mjs';

/** When each job was made and when it was done. */
const jobs = [];
const startedAt = Date.now();
let lastAt = startedAt;
const runner = await run({
  connectionString: process.env.DATABASE_URL,
  noHandleSignals: true,
  // A line per job would be measured as well.
  logger: new Logger(() => () => undefined),
  preset: { worker: settings.preset },
  taskList: {
    events: async (payload, { job, query }) => {
      await applyJobs(query, [payload]);
      lastAt = Date.now();
      jobs.push({ createdAt: job.created_at.getTime(), doneAt: lastAt });
    },
  },
});
const isStopped = stopSignal();
for (;;) {
  const isOver = await Promise.race([isStopped.then(() => true), sleep(20, false)]);
  const isLate = Date.now() - startedAt > settings.mostSeconds * 1000;
  if (isOver || jobs.length === settings.jobs || isLate) break;
}
await runner.stop();
report({ done: jobs.length, seconds: (lastAt - startedAt) / 1000, jobs });
process.exit();
