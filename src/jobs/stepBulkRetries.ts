import { type Pool } from 'pg';
import { isDatabaseAway } from '../db/errors';
import { transaction } from '../db/query';
import { recordAudit } from '../models/auditLog';
import { claimBulkRetry, queueNextEvents, recordBulkRetryStep } from '../models/bulkRetries';
import { logger } from '../utils/logger';

/** Events per step; the processor makes one step a second. */
const STEP_SIZE = 100;
/** No step while so many events are due: what is fresh waits behind these and one step of each processor at most. */
const MAX_DUE = 200;

/**
 * Queues some events of the running bulk retry whose turn it is. A step that fails is logged and made again later; the
 * processing of fresh events must not stop for it.
 * @returns how many events were queued
 * @throws Error when the database is away
 */
export async function stepBulkRetries(pool: Pool, limit = STEP_SIZE): Promise<number> {
  try {
    return await transaction(pool, async (db) => {
      const job = await claimBulkRetry(db, MAX_DUE);
      if (job === null) return 0;
      const step = await queueNextEvents(db, job, limit);
      const { status, total, queued, skipped } = await recordBulkRetryStep(db, job.id, step);
      if (status === 'finished')
        await recordAudit(db, {
          userId: null,
          action: 'bulk_retry.finished',
          subjectType: 'bulk_retry',
          subjectId: job.id,
          details: { total, queued, skipped },
        });
      return step.queued;
    });
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    logger.error('bulk retry step failed', { error });
    return 0;
  }
}
