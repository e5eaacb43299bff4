import { type Request } from 'express';
import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { ConflictError, NotFoundError } from '../errors';
import { rateLimit } from '../middleware/rateLimits';
import { loggedInUser } from '../middleware/requireLogin';
import { recordAudit } from '../models/auditLog';
import {
  type BulkRetry,
  cancelBulkRetry,
  createBulkRetry,
  findBulkRetry,
  MAX_RUNNING,
} from '../models/bulkRetries';
import { type EventFilters } from '../models/webhookEvents';
import { eventIdOf, viewerOf } from './eventActions';

export interface BulkRetryActions {
  /** @throws ConflictError, TooManyRequestsError */
  create(req: Request, filters: EventFilters): Promise<BulkRetry>;
  /** The one of the address. @throws NotFoundError */
  get(req: Request): Promise<BulkRetry>;
  /** @throws NotFoundError, ConflictError when it is not running any more */
  cancel(req: Request): Promise<BulkRetry>;
}

/** The same from a page and through the API: limited, owner only, written down. */
export function bulkRetryActions(context: AppContext): BulkRetryActions {
  const { pool } = context;
  const limit = rateLimit(context, 'bulk-retry', { points: 5, seconds: 60 });

  async function get(req: Request): Promise<BulkRetry> {
    const job = await findBulkRetry(pool, loggedInUser(req).id, eventIdOf(req));
    if (job === null) throw new NotFoundError();
    return job;
  }

  return {
    get,
    async create(req, filters) {
      const { id: userId } = loggedInUser(req);
      await limit.consume(userId);
      const job = await transaction(pool, async (db) => {
        const created = await createBulkRetry(db, viewerOf(req), filters);
        if (typeof created !== 'string')
          await recordAudit(db, {
            userId,
            action: 'bulk_retry.created',
            subjectType: 'bulk_retry',
            subjectId: created.id,
            details: { total: created.total },
          });
        return created;
      });
      if (job === 'nothing_matches')
        throw new ConflictError('No failed event and no dead letter matches these filters.', job);
      if (job === 'too_many_running')
        throw new ConflictError(
          `You have ${MAX_RUNNING} bulk retries running. Wait until one has finished, or cancel one.`,
          job,
        );
      return job;
    },
    async cancel(req) {
      const { id: userId } = loggedInUser(req);
      const job = await transaction(pool, async (db) => {
        const cancelled = await cancelBulkRetry(db, userId, eventIdOf(req));
        if (cancelled !== null)
          await recordAudit(db, {
            userId,
            action: 'bulk_retry.cancelled',
            subjectType: 'bulk_retry',
            subjectId: cancelled.id,
            details: { total: cancelled.total, queued: cancelled.queued },
          });
        return cancelled;
      });
      if (job !== null) return job;
      const { status } = await get(req);
      throw new ConflictError(`This bulk retry is ${status} already.`, 'not_running');
    },
  };
}
