import { type Request } from 'express';
import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { ConflictError, NotFoundError } from '../errors';
import { rateLimit } from '../middleware/rateLimits';
import { loggedInUser } from '../middleware/requireLogin';
import { recordAudit } from '../models/auditLog';
import { deleteEvent, type EventViewer, retryEvent } from '../models/webhookEvents';
import { wakeProcessors } from '../models/webhookQueue';
import { ID_PATTERN } from './eventFilters';

export interface EventActions {
  /** @throws NotFoundError, ConflictError, TooManyRequestsError */
  retry(req: Request): Promise<void>;
  /** @throws NotFoundError, ConflictError, TooManyRequestsError */
  remove(req: Request): Promise<void>;
}

/** What a person may do to one event, the same from a page and through the API: limited, owner only, written down. */
export function eventActions(context: AppContext): EventActions {
  const { pool } = context;
  const limit = rateLimit(context, 'event-change', { points: 30, seconds: 60 });

  async function change(
    req: Request,
    action: string,
    apply: typeof retryEvent,
    refusal: string,
  ): Promise<void> {
    const { id: userId } = loggedInUser(req);
    await limit.consume(userId);
    const id = eventIdOf(req);
    const result = await transaction(pool, async (db) => {
      const change = await apply(db, viewerOf(req), id);
      if (change === 'done')
        await recordAudit(db, { userId, action, subjectType: 'webhook_event', subjectId: id });
      return change;
    });
    if (result === 'not_found') throw new NotFoundError();
    if (result === 'wrong_status') throw new ConflictError(refusal, 'wrong_status');
  }

  return {
    async retry(req) {
      await change(req, 'event.retried', retryEvent, 'Only failed events and dead letters can be retried.');
      await wakeProcessors(pool).catch(() => undefined); // their own polling finds it a second later
    },
    async remove(req) {
      await change(
        req,
        'event.deleted',
        deleteEvent,
        'Only processed events and dead letters can be deleted.',
      );
    },
  };
}

export function viewerOf(req: Request): EventViewer {
  const { id, role } = loggedInUser(req);
  return { userId: id, isOperator: role === 'operator' };
}

/** @throws NotFoundError when it is no id at all */
export function eventIdOf(req: Request): string {
  const { id } = req.params;
  if (typeof id !== 'string' || !ID_PATTERN.test(id)) throw new NotFoundError();
  return id;
}
