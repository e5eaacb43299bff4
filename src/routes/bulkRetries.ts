import { type Request, type Response, Router } from 'express';
import { type AppContext } from '../context';
import { ConflictError } from '../errors';
import { flash } from '../middleware/flash';
import { loggedInUser, requireLogin } from '../middleware/requireLogin';
import { type BulkRetry, countRetryable, listBulkRetries, MAX_RUNNING } from '../models/bulkRetries';
import { listAccountsByUser } from '../models/instagramAccounts';
import { bulkRetryActions } from './bulkRetryActions';
import { eventIdOf, viewerOf } from './eventActions';
import { chipsOf, hrefOf, type PageTexts, queryOf } from './eventFilterLinks';
import { readFilters, readRetryRequest } from './eventFilters';

const LIST_LIMIT = 20;
const LATEST = 3;

export function bulkRetryRoutes(context: AppContext): Router {
  const { pool } = context;
  const router = Router();
  const actions = bulkRetryActions(context);

  router.use(['/events/retry', '/events/retries'], requireLogin);

  router.get('/events/retry', async (req, res) => {
    const { id: userId } = loggedInUser(req);
    const filters = readFilters(req.query);
    const [found, accounts, latest] = await Promise.all([
      countRetryable(pool, viewerOf(req), filters),
      listAccountsByUser(pool, userId),
      listBulkRetries(pool, userId, LATEST),
    ]);
    const query = queryOf(filters);
    res.render('bulk-retry-confirm', {
      ...found,
      chips: chipsOf(filters, accounts, res.locals as PageTexts, '/events/retry'),
      clearHref: '/events/retry',
      query,
      backHref: hrefOf('/events', query),
      latest,
    });
  });

  router.post('/events/retry', async (req, res) => {
    const { filters, isDryRun } = readRetryRequest(req.body);
    const job = isDryRun ? null : await orTell(req, () => actions.create(req, filters));
    res.redirect(303, job ? `/events/retries/${job.id}` : hrefOf('/events/retry', queryOf(filters)));
  });

  router.get('/events/retries', async (req, res) => {
    res.render('bulk-retries', { jobs: await listBulkRetries(pool, loggedInUser(req).id, LIST_LIMIT) });
  });

  router.get('/events/retries/:id', async (req, res) => {
    const [job, accounts] = await Promise.all([
      actions.get(req),
      listAccountsByUser(pool, loggedInUser(req).id),
    ]);
    res.render('bulk-retry', {
      job,
      chips: plainChips(job, accounts, res),
      // Whatever became of them since, and those that are broken still.
      eventsHref: hrefOf('/events', queryOf({ ...job.filters, status: [] })),
      brokenHref: hrefOf('/events', queryOf(job.filters)),
    });
  });

  router.post('/events/retries/:id/cancel', async (req, res) => {
    await orTell(req, () => actions.cancel(req));
    res.redirect(303, `/events/retries/${eventIdOf(req)}`);
  });

  return router;
}

/** What cannot be done now is told on the page, not as an error page. */
async function orTell(req: Request, act: () => Promise<BulkRetry>): Promise<BulkRetry | null> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    flash(req, 'error', `bulkRetries:refused.${error.code}`, { max: String(MAX_RUNNING) });
    return null;
  }
}

/** Without the addresses that would remove a filter: it is too late for that. */
function plainChips(
  job: BulkRetry,
  accounts: { id: string; username: string }[],
  res: Response,
): { label: string }[] {
  return chipsOf(job.filters, accounts, res.locals as PageTexts, '').map(({ label }) => ({ label }));
}
