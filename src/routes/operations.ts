import { Router } from 'express';
import { type AppContext } from '../context';
import { currentAlerts } from '../operations/alerts';
import { createMetrics } from '../operations/metrics';

/** Figures for operators, from the database: jobs in other processes count too. Access is checked before. */
export function operationsRoutes(context: AppContext): Router {
  const router = Router();
  const metrics = createMetrics(context);

  router.get('/metrics', async (req, res) => {
    const registry = await metrics.read();
    if (req.accepts(['text', 'json']) === 'json') res.json(await registry.getMetricsAsJSON());
    else res.type(registry.contentType).send(await registry.metrics());
  });

  router.get('/alerts', async (_req, res) => {
    const alerts = await currentAlerts(context);
    res.json({ status: alerts.length === 0 ? 'ok' : 'firing', alerts });
  });

  return router;
}
