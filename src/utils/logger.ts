import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger, format, transports } from 'winston';
import DailyRotateFile from 'winston-daily-rotate-file';
import { redact } from './redact';

/** What every line of a request or a job run carries. */
export interface LogContext {
  requestId?: string;
  job?: string;
}
export const logContext = new AsyncLocalStorage<LogContext>();

const clean = format((info) => {
  const line = redact({ ...info }) as typeof info;
  // winston keeps level and message under symbols too: a plain copy would lose them.
  for (const symbol of Object.getOwnPropertySymbols(info))
    Reflect.set(line, symbol, Reflect.get(info, symbol));
  return Object.assign(line, logContext.getStore());
});

/** One JSON object per line on stdout. Call as `logger.info('fixed message', { ids })`. */
export const logger = createLogger({
  level: 'info',
  format: format.combine(clean(), format.timestamp(), format.json()),
  transports: [new transports.Console({ stderrLevels: [] })],
  exitOnError: false,
});

/** With a directory, also `combined-DATE.log` and `error-DATE.log`, rotated daily (UTC), kept 14 days. */
export function configureLogger({ level, directory }: { level: string; directory: string | null }): void {
  logger.level = level;
  if (directory === null) return;
  logger.add(rotatingFile(directory, 'combined', level));
  logger.add(rotatingFile(directory, 'error', 'error'));
}

/**
 * Resolves when everything written is in the files; await it before `process.exit`. Ending the logger is not enough: the
 * rotating transport reports `finish` while its own file stream still holds lines.
 */
export async function closeLogger(): Promise<void> {
  const files = logger.transports.filter((transport) => transport instanceof DailyRotateFile);
  const handedOver = files.map((file) => once(file, 'finish'));
  logger.end();
  await Promise.race([Promise.all(handedOver), sleep(2000, undefined, { ref: false })]);
  const closed = files.map((file) => {
    const finished = once(file, 'finish');
    file.close?.();
    return finished;
  });
  await Promise.race([Promise.all(closed), sleep(2000, undefined, { ref: false })]);
}

function rotatingFile(directory: string, name: string, level: string): DailyRotateFile {
  const file = new DailyRotateFile({
    dirname: directory,
    filename: `${name}-%DATE%.log`,
    datePattern: 'YYYY-MM-DD',
    level,
    maxFiles: '14d',
    utc: true,
    auditFile: `${directory}/.${name}-audit.json`,
    options: { flags: 'a', mode: 0o640 },
  });
  // A full disk is reported by the inner stream only; without a listener there it would end the process.
  const { logStream } = file as unknown as { logStream: NodeJS.EventEmitter };
  for (const source of [file, logStream]) {
    source.on('error', (error: Error) => process.stderr.write(`log file: ${error.message}\n`));
  }
  return file;
}
