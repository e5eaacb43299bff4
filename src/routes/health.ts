import { type Response, Router } from 'express';
import { type AppContext } from '../context';

const CACHE_MS = 1_000;
const TIMEOUT_MS = 1_500;

/** Whether this instance may get traffic. Public, so it says four things and never why. */
export function healthRoutes({ config, intakePool }: AppContext, isShuttingDown: () => boolean): Router {
  const router = Router();
  const startedAt = Date.now();
  let checkedAt = 0;
  let checking: Promise<boolean> | undefined;

  router.get('/health/live', (_req, res) => {
    answer(res, true);
  });

  router.get(['/health', '/health/ready'], async (_req, res) => {
    answer(res, !isShuttingDown() && (await databaseAnswers()));
  });

  /** Asked at most once a second, however many ask us. */
  function databaseAnswers(): Promise<boolean> {
    if (checking === undefined || Date.now() - checkedAt > CACHE_MS) {
      checkedAt = Date.now();
      checking = withTimeout(intakePool.query('SELECT 1'));
    }
    return checking;
  }

  function answer(res: Response, isHealthy: boolean): void {
    res.setHeader('Cache-Control', 'no-store');
    res.status(isHealthy ? 200 : 503).json({
      status: isHealthy ? 'healthy' : 'unhealthy',
      timestamp: new Date().toISOString(),
      uptime: Date.now() - startedAt,
      environment: config.environment,
    });
  }

  return router;
}

async function withTimeout(query: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, TIMEOUT_MS, false);
  });
  try {
    return await Promise.race([
      query.then(
        () => true,
        () => false,
      ),
      timeout,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
