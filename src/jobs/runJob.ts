import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { loadConfig } from '../config';
import { type AppContext, closeContext, createContext } from '../context';
import { schemaProblem } from '../db/migrate';
import { developmentEnvironment } from '../dev/environment';
import { recordJobBeat, recordJobEnd, recordJobStart } from '../models/jobHeartbeats';
import { closeLogger, configureLogger, logContext, logger } from '../utils/logger';

/** Counts of what a run did; `failed` above 0 makes the process end with exit code 1. */
export type JobSummary = Record<string, number>;
export type Job = (context: AppContext, signal: AbortSignal) => Promise<JobSummary>;

const BEAT_MS = 15_000;
const HARD_STOP_MS = 15_000;

/** The process of a job: settings, stop signals, heartbeat, one closing line, exit code. */
export function runJob(name: string, job: Job): Promise<void> {
  return runProcess(name, async (context, signal) => {
    const summary = await watched(context, name, job, signal);
    if ((summary['failed'] ?? 0) > 0) process.exitCode = 1;
  });
}

/** What every job process shares, whether it does its work or only says what that would be. */
export async function runProcess(
  name: string,
  work: (context: AppContext, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      stop.abort();
      setTimeout(() => process.exit(1), HARD_STOP_MS).unref();
    });
  }
  try {
    const development = await developmentEnvironment(process.env);
    const config = loadConfig(development.env);
    configureLogger({ level: config.logLevel, directory: config.logDir });
    const context = createContext(config);
    try {
      const problem = await schemaProblem(context.pool);
      if (problem !== null) throw new Error(problem);
      await work(context, stop.signal);
    } finally {
      await closeContext(context);
      await development.stop();
    }
  } catch (error) {
    logger.error('job failed', { job: name, error });
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
  await closeLogger();
  process.exit();
}

/** Runs the job under its heartbeat and logs what it did; also used by the scheduler inside the server. */
export async function watched(
  { ...context }: AppContext,
  name: string,
  job: Job,
  signal: AbortSignal,
): Promise<JobSummary> {
  const host = os.hostname();
  const startedAt = Date.now();
  return logContext.run({ job: name, requestId: randomUUID() }, async () => {
    await recordJobStart(context.pool, name, host);
    const beat = setInterval(() => {
      recordJobBeat(context.pool, name, host).catch((error: unknown) =>
        logger.warn('heartbeat failed', { error }),
      );
    }, BEAT_MS);
    try {
      const summary = await job(context, signal);
      logger.info('job finished', { job: name, milliseconds: Date.now() - startedAt, ...summary });
      await recordJobEnd(
        context.pool,
        name,
        host,
        (summary['failed'] ?? 0) > 0 ? 'failed' : 'succeeded',
        summary,
      );
      return summary;
    } catch (error) {
      await recordJobEnd(context.pool, name, host, 'failed', {}).catch(() => undefined);
      throw error;
    } finally {
      clearInterval(beat);
    }
  });
}
