import cron from 'node-cron';
import { type AppContext } from '../context';
import { logger } from '../utils/logger';
import { maintain } from './maintenance';
import { refreshTokens } from './refresh-tokens';
import { type Job, watched } from './runJob';
import { processWebhookEvents } from './webhook-processor';

export interface Schedule {
  /** Lets the running jobs finish their current item. */
  stop(): Promise<void>;
}

/**
 * The timers of deploy/, inside the server, for installations without systemd. The processor lingers and is started
 * again within a second of its end, so no gap opens.
 */
export function startSchedule(context: AppContext): Schedule {
  const stop = new AbortController();
  const running = new Map<string, Promise<unknown>>();
  // A run that is still going is left alone: the processor lingers on purpose.
  const start = (expression: string, name: string, job: Job) =>
    cron.schedule(
      expression,
      () => {
        if (running.has(name)) return;
        const run = watched(context, name, job, stop.signal)
          .catch((error: unknown) => logger.error('job failed', { job: name, error }))
          .finally(() => running.delete(name));
        running.set(name, run);
      },
      { timezone: 'UTC' },
    );
  const tasks = [
    start('* * * * * *', 'webhook-processor', processWebhookEvents),
    start('0 * * * *', 'refresh-tokens', refreshTokens),
    start('20 * * * *', 'maintenance', maintain),
  ];
  return {
    async stop() {
      stop.abort();
      for (const task of tasks) await task.stop();
      await Promise.all(running.values());
    },
  };
}
