// pg-boss as a worker: settings are batchSize, pollingIntervalSeconds and isEager (never waits while there are jobs).
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import PgBoss from 'pg-boss';
import { applyJobs, report, settings, stopSignal } from './jobs.mjs';

const connectionString = process.env.DATABASE_URL;
const pool = new pg.Pool({ connectionString });
const boss = new PgBoss(connectionString);
boss.on('error', (error) => process.stderr.write(`${error.message}\n`));
await boss.start();

/** When each job was made and when it was done. */
const times = [];
let workerId;
const startedAt = Date.now();
let lastAt = startedAt;
const { batchSize, pollingIntervalSeconds } = settings;
workerId = await boss.work(
  'events',
  { batchSize, pollingIntervalSeconds, includeMetadata: true },
  async (jobs) => {
    await applyJobs(
      pool.query.bind(pool),
      jobs.map((job) => job.data),
    );
    lastAt = Date.now();
    for (const job of jobs) times.push({ createdAt: job.createdOn.getTime(), doneAt: lastAt });
    if (settings.isEager) boss.notifyWorker(workerId);
  },
);
const isStopped = stopSignal();
for (;;) {
  const isOver = await Promise.race([isStopped.then(() => true), sleep(20, false)]);
  const isLate = Date.now() - startedAt > settings.mostSeconds * 1000;
  if (isOver || times.length === settings.jobs || isLate) break;
}
// Stopping waits until the last batch is marked as completed.
await boss.stop();
await pool.end();
report({ done: times.length, seconds: (lastAt - startedAt) / 1000, jobs: times });
process.exit();
