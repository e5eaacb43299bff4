import http from 'node:http';
import { type Config, loadConfig } from './config';
import { createApp } from './app';
import { type AppContext, closeContext, createContext } from './context';
import { durabilityProblem } from './db/durability';
import { migrate, schemaProblem } from './db/migrate';
import { developmentEnvironment } from './dev/environment';
import { type Schedule, startSchedule } from './jobs/schedule';
import { closeLogger, configureLogger, logger } from './utils/logger';

const HARD_STOP_MS = 10_000;

async function main(): Promise<void> {
  const development = await developmentEnvironment(process.env);
  let context: AppContext | undefined;
  try {
    const config = loadConfig(development.env);
    configureLogger({ level: config.logLevel, directory: config.logDir });
    if (!config.isProduction) await migrate(config.database);
    context = createContext(config);
    await refuseUnfitDatabase(context);

    const state = { isShuttingDown: false };
    const server = createServer(createApp(context, state));
    const answers = runningAnswers(server);
    await listen(server, config);
    const schedule = config.scheduler === 'inline' ? startSchedule(context) : undefined;
    stopOnSignals(server, answers, state, context, schedule, () => development.stop());
    announce(config, server, await development.afterListen());
  } catch (error) {
    if (context !== undefined) await closeContext(context);
    await development.stop();
    throw error;
  }
}

/** @throws Error with one line that says what to do */
async function refuseUnfitDatabase({ pool, intakePool, config }: AppContext): Promise<void> {
  let problem: string | null;
  try {
    problem = (await schemaProblem(pool)) ?? (await durabilityProblem(intakePool));
  } catch (error) {
    const { hostname, port } = new URL(config.database.connectionString);
    throw new Error(
      `The database at ${hostname}:${port || '5432'} does not answer: ${(error as Error).message || 'no connection'}`,
      { cause: error },
    );
  }
  if (problem !== null) throw new Error(problem);
}

/** Slow clients are cut; keep-alive outlasts nginx's, else a connection could close under a request. */
function createServer(app: http.RequestListener): http.Server {
  const server = http.createServer(
    { connectionsCheckingInterval: 5_000, headersTimeout: 15_000, requestTimeout: 30_000 },
    app,
  );
  server.keepAliveTimeout = 65_000;
  return server;
}

/** What is being answered at any time. */
function runningAnswers(server: http.Server): ReadonlySet<http.ServerResponse> {
  const answers = new Set<http.ServerResponse>();
  server.on('request', (_req, answer: http.ServerResponse) => {
    answers.add(answer);
    answer.once('close', () => answers.delete(answer));
  });
  return answers;
}

/**
 * Refuses new connections, lets the running requests end and then closes what is left: connections that a proxy or a
 * browser keeps open, or on which nothing was ever sent. Node would wait until these time out.
 */
async function closeServer(server: http.Server, answers: ReadonlySet<http.ServerResponse>): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  // A Set's iteration also meets what is added meanwhile.
  for (const answer of answers) await new Promise((resolve) => answer.once('close', resolve));
  server.closeAllConnections();
  await closed;
}

async function listen(server: http.Server, { host, port }: Config): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        reject(
          new Error(
            `Port ${port} is taken by another program. Stop that one, or choose another: PORT=${port + 1} npm start`,
          ),
        );
      else if (error.code === 'EACCES')
        reject(new Error(`Port ${port} needs more rights. Choose one from 1024 on: PORT=3000 npm start`));
      else reject(error);
    });
    server.listen(port, host, () => {
      if (server.listening) resolve();
    });
  });
}

function announce(
  { baseUrl, environment, meta, isProduction }: Config,
  server: http.Server,
  lines: string[],
): void {
  logger.info('listening', {
    address: server.address(),
    baseUrl,
    environment,
    graphVersion: meta.graphVersion,
  });
  const notice = [`insta-connect-demo is running. Open ${baseUrl}`, ...lines];
  if (!isProduction) process.stdout.write(`\n${notice.map((line) => `  ${line}\n`).join('')}\n`);
}

function stopOnSignals(
  server: http.Server,
  answers: ReadonlySet<http.ServerResponse>,
  state: { isShuttingDown: boolean },
  context: AppContext,
  schedule: Schedule | undefined,
  afterwards: () => Promise<void>,
): void {
  const stop = async (reason: string, exitCode: number) => {
    if (state.isShuttingDown) return;
    state.isShuttingDown = true;
    logger.info('stopping', { reason });
    setTimeout(() => process.exit(1), HARD_STOP_MS).unref();
    await Promise.all([closeServer(server, answers), schedule?.stop()]);
    await closeContext(context);
    await afterwards();
    logger.info('stopped', { reason });
    await closeLogger();
    process.exit(exitCode);
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => void stop(signal, 0));
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logger.error(event, { error });
      void stop(event, 1);
    });
  }
}

main().catch(async (error: unknown) => {
  process.stderr.write(`${(error as Error).message}\n`);
  logger.error('start failed', { error: (error as Error).message });
  await closeLogger();
  process.exit(1);
});
