import { Router } from 'express';
import { type AppContext } from '../context';
import { loggedInUser, requireLogin } from '../middleware/requireLogin';
import { countRetryable, listBulkRetries } from '../models/bulkRetries';
import { bulkRetryActions } from './bulkRetryActions';
import { viewerOf } from './eventActions';
import { readRetryRequest } from './eventFilters';

const LIST_LIMIT = 50;

export function bulkRetryApiRoutes(context: AppContext): Router {
  const { pool } = context;
  const router = Router();
  const actions = bulkRetryActions(context);

  router.post('/api/webhook-events/retry', requireLogin, async (req, res) => {
    const { filters, isDryRun } = readRetryRequest(req.body);
    if (isDryRun) {
      const { count, isMore } = await countRetryable(pool, viewerOf(req), filters);
      res.json(isMore ? { count, isMore } : { count });
      return;
    }
    res.status(202).json(await actions.create(req, filters));
  });

  router.use('/api/bulk-retries', requireLogin);
  router.get('/api/bulk-retries', async (req, res) => {
    res.json({ bulkRetries: await listBulkRetries(pool, loggedInUser(req).id, LIST_LIMIT) });
  });

  router.get('/api/bulk-retries/:id', async (req, res) => {
    res.json(await actions.get(req));
  });

  router.post('/api/bulk-retries/:id/cancel', async (req, res) => {
    res.json(await actions.cancel(req));
  });

  return router;
}
