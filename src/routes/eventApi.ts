import { Router } from 'express';
import { type AppContext } from '../context';
import { NotFoundError } from '../errors';
import { requireLogin } from '../middleware/requireLogin';
import { getEventTotals, listCountsByHour, listCountsByType } from '../models/webhookEventStats';
import {
  findEvent,
  listAttempts,
  listEvents,
  payloadStateOf,
  type WebhookEvent,
} from '../models/webhookEvents';
import { toCsv } from '../utils/csv';
import { eventActions, eventIdOf, viewerOf } from './eventActions';
import { readFilters, readPage, readRange } from './eventFilters';

const DEFAULT_LIMIT = 50;
/** Rows of one export; more is a job's work. */
const CSV_LIMIT = 10_000;

export function eventApiRoutes(context: AppContext): Router {
  const { pool } = context;
  const router = Router();
  const actions = eventActions(context);

  router.use('/api/webhook-events', requireLogin);
  router.get('/api/webhook-events.csv', requireLogin, async (req, res) => {
    const events = await listEvents(pool, viewerOf(req), readFilters(req.query), {
      cursor: null,
      offset: 0,
      limit: CSV_LIMIT,
    });
    res.setHeader('Content-Disposition', 'attachment; filename="webhook-events.csv"');
    res.type('text/csv').send(toCsv(EVENT_FIELDS, events.map(toJson)));
  });

  router.get('/api/webhook-events', async (req, res) => {
    const page = readPage(req.query, DEFAULT_LIMIT);
    // One more than asked for tells whether there is a next page.
    const events = await listEvents(pool, viewerOf(req), readFilters(req.query), {
      ...page,
      limit: page.limit + 1,
    });
    const shown = events.slice(0, page.limit);
    res.json({
      events: shown.map(toJson),
      nextCursor: events.length > page.limit ? (shown.at(-1)?.id ?? null) : null,
      limit: page.limit,
    });
  });

  router.get('/api/webhook-events/stats', async (req, res) => {
    const viewer = viewerOf(req);
    const range = readRange(req.query);
    const [totals, byType, series] = await Promise.all([
      getEventTotals(pool, viewer, range),
      listCountsByType(pool, viewer, range),
      listCountsByHour(pool, viewer, range),
    ]);
    const { dueSince: _dueSince, ...counts } = totals;
    res.json({ ...counts, byType, series });
  });

  router.get('/api/webhook-events/:id', async (req, res) => {
    const event = await findEvent(pool, viewerOf(req), eventIdOf(req));
    if (event === null) throw new NotFoundError();
    const { username: _username, igUserId: _igUserId, nextAttemptAt: _nextAttemptAt, ...rest } = event;
    res.json({
      ...rest,
      ...toJson(event),
      payloadState: payloadStateOf(event),
      attemptLog: await listAttempts(pool, event.id),
    });
  });

  router.post('/api/webhook-events/:id/retry', async (req, res) => {
    await actions.retry(req);
    res.json({ id: eventIdOf(req), status: 'pending' });
  });

  router.delete('/api/webhook-events/:id', async (req, res) => {
    await actions.remove(req);
    res.status(204).end();
  });

  return router;
}

/** What the API and the CSV say of an event, and nothing else of its row. */
const EVENT_FIELDS = [
  'id',
  'accountId',
  'eventType',
  'status',
  'attempts',
  'lastError',
  'nextAttemptAt',
  'occurredAt',
  'receivedAt',
  'processedAt',
  'duplicateCount',
] as const;

function toJson(event: WebhookEvent) {
  const isWaiting = event.status === 'pending' || event.status === 'failed';
  const shown = { ...event, nextAttemptAt: isWaiting ? event.nextAttemptAt : null };
  return Object.fromEntries(EVENT_FIELDS.map((field) => [field, shown[field]])) as Pick<
    typeof shown,
    (typeof EVENT_FIELDS)[number]
  >;
}
