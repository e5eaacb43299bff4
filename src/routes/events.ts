import { type Request, Router } from 'express';
import { type TFunction } from 'i18next';
import { type AppContext } from '../context';
import { ConflictError, NotFoundError } from '../errors';
import { flash } from '../middleware/flash';
import { loggedInUser, requireLogin } from '../middleware/requireLogin';
import { interpret } from '../meta/interpret';
import { listBulkRetries } from '../models/bulkRetries';
import { listAccountsByUser } from '../models/instagramAccounts';
import { findInteraction } from '../models/interactions';
import { findDeliveryBody } from '../models/webhookDeliveries';
import { getEventTotals, listCountsByType } from '../models/webhookEventStats';
import {
  type EventDetails,
  findEvent,
  listAttempts,
  listEvents,
  payloadStateOf,
  retryableFilters,
  waitsForOwner,
} from '../models/webhookEvents';
import { curlFor } from '../utils/curl';
import { eventActions, eventIdOf, viewerOf } from './eventActions';
import { chipsOf, hrefOf, type PageTexts, queryOf } from './eventFilterLinks';
import { readFilters, readPage } from './eventFilters';
import { journeyOf } from './eventJourney';
import { summarize } from './eventSummary';

const PAGE_SIZE = 50;
const EVERYTHING = { from: null, to: null, accountId: null };

export function eventRoutes(context: AppContext): Router {
  const { pool, config } = context;
  const router = Router();
  const actions = eventActions(context);

  router.use('/events', requireLogin);

  router.get('/events', async (req, res) => {
    const t = res.locals['t'] as TFunction;
    const viewer = viewerOf(req);
    const filters = readFilters(req.query);
    const page = readPage(req.query, PAGE_SIZE);
    const [events, accounts, stats, byType, bulkRetries] = await Promise.all([
      listEvents(pool, viewer, filters, { ...page, limit: page.limit + 1 }),
      listAccountsByUser(pool, viewer.userId),
      getEventTotals(pool, viewer, EVERYTHING),
      listCountsByType(pool, viewer, EVERYTHING),
      listBulkRetries(pool, viewer.userId, 1),
    ]);
    const shown = events.slice(0, page.limit);
    const query = queryOf(filters);
    const hasRetryable = stats.failed + stats.deadLetter > 0 && retryableFilters(filters) !== null;
    res.render('events', {
      events: shown.map((event) => ({ ...event, summary: summarize(t, event) })),
      filters: { ...filters, q: filters.q ?? '', from: localTime(filters.from), to: localTime(filters.to) },
      chips: chipsOf(filters, accounts, res.locals as PageTexts, '/events'),
      clearHref: '/events',
      accounts: accounts.map(({ id, username }) => ({ id, username })),
      eventTypes: byType.map(({ eventType }) => eventType).sort(),
      stats,
      newerHref: page.cursor === null ? null : hrefOf('/events', query),
      olderHref:
        events.length > page.limit ? hrefOf('/events', [...query, ['cursor', shown.at(-1)?.id ?? '']]) : null,
      csvHref: shown.length === 0 ? null : hrefOf('/api/webhook-events.csv', query),
      retryHref: hasRetryable ? hrefOf('/events/retry', query) : null,
      bulkRetries,
      hasAny: stats.total > 0,
      eventDays: config.retention.eventDays,
    });
  });

  router.get('/events/:id', async (req, res) => {
    const t = res.locals['t'] as TFunction;
    const viewer = viewerOf(req);
    const event = await findEvent(pool, viewer, eventIdOf(req));
    if (event === null) throw new NotFoundError();
    const [attempts, body, interaction] = await Promise.all([
      listAttempts(pool, event.id),
      event.deliveryId === null ? null : findDeliveryBody(pool, viewer, event.deliveryId),
      interactionOf(event),
    ]);
    const payloadState = payloadStateOf(event);
    const rawText = body?.toString('utf8') ?? null;
    const canRetry = event.status === 'failed' || event.status === 'dead_letter';
    res.render('event', {
      event: {
        ...event,
        summary: summarize(t, event),
        objectName: event.object,
        nextAttemptAt: event.status === 'failed' ? event.nextAttemptAt : null,
        payloadPretty: event.payload === null ? null : JSON.stringify(event.payload, null, 2),
        rawText,
        payloadState,
        parseError: payloadState === 'unreadable' ? event.lastError : null,
      },
      journey: journeyOf(t, event, attempts),
      attempts,
      interaction,
      payloadDays: config.retention.payloadDays,
      canRetry,
      needsOwner: waitsForOwner(event),
      retryDisabledReason: canRetry ? null : t(RETRY_REASONS[event.status] ?? 'journey:retryProcessed'),
      canDelete: event.status === 'processed' || event.status === 'dead_letter',
      curl: rawText === null ? null : curlFor(`${config.baseUrl}/webhook`, rawText),
    });
  });

  router.post('/events/:id/retry', async (req, res) => {
    await tell(req, () => actions.retry(req), 'journey:flashRetried', 'journey:flashNotRetryable');
    res.redirect(303, `/events/${eventIdOf(req)}`);
  });

  router.post('/events/:id/delete', async (req, res) => {
    const isDeleted = await tell(
      req,
      () => actions.remove(req),
      'journey:flashDeleted',
      'journey:flashNotDeletable',
    );
    res.redirect(303, isDeleted ? '/events' : `/events/${eventIdOf(req)}`);
  });

  async function interactionOf(event: EventDetails) {
    if (event.accountId === null || event.payload === null) return null;
    const meaning = interpret({
      eventType: event.eventType,
      payload: event.payload,
      igUserId: event.igUserId ?? '',
    });
    return meaning && findInteraction(pool, event.accountId, meaning.kind, meaning.externalId);
  }

  return router;
}

const RETRY_REASONS: Readonly<Record<string, string>> = {
  pending: 'journey:retryPending',
  processing: 'journey:retryProcessing',
  processed: 'journey:retryProcessed',
};

/** A click that came too late is told on the page, not as an error page. */
async function tell(req: Request, act: () => Promise<void>, done: string, refused: string): Promise<boolean> {
  loggedInUser(req);
  try {
    await act();
    flash(req, 'success', done);
    return true;
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    flash(req, 'error', refused);
    return false;
  }
}

/** What an <input type="datetime-local"> shows; times on pages are UTC. */
function localTime(date: Date | null): string {
  return date?.toISOString().slice(0, 16) ?? '';
}
