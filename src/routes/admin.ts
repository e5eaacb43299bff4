import { type Request, Router } from 'express';
import { z } from 'zod';
import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { BadRequestError } from '../errors';
import { flash } from '../middleware/flash';
import { rateLimit } from '../middleware/rateLimits';
import { loggedInUser } from '../middleware/requireLogin';
import { requireOperator } from '../middleware/requireOperator';
import { recordAudit } from '../models/auditLog';
import { getFigures } from '../models/figures';
import { listJobRuns } from '../models/jobHeartbeats';
import { findQueuePause, setQueuePaused } from '../models/queueSettings';
import { countHandshakes } from '../models/webhookHandshakes';
import { countWaiting, MOST_COUNTED, wakeProcessors } from '../models/webhookQueue';
import { countRejections } from '../models/webhookRejections';
import { currentAlerts } from '../operations/alerts';
import { adminIntakeRoutes } from './adminIntake';

const PauseFormSchema = z.object({
  reason: z
    .string()
    .trim()
    .max(200)
    .refine((text) => !text.includes('\0'))
    .default(''),
});

/** The operators' area. For everybody else none of its addresses exists. */
export function adminRoutes(context: AppContext): Router {
  const { pool } = context;
  const router = Router();
  const limit = rateLimit(context, 'admin-actions', { points: 30, seconds: 60 });

  router.use('/admin', requireOperator);
  router.use('/admin', async (req, _res, next) => {
    if (req.method === 'POST') await limit.consume(loggedInUser(req).id);
    next();
  });

  router.get('/admin', async (_req, res) => {
    const [figures, waiting, alerts, jobs, pause, rejections, handshakes] = await Promise.all([
      getFigures(pool),
      countWaiting(pool),
      currentAlerts(context),
      listJobRuns(pool),
      findQueuePause(pool),
      countRejections(pool),
      countHandshakes(pool),
    ]);
    res.render('admin', {
      events: figures.events,
      waiting: Object.entries(waiting).map(([lane, count]) => ({
        lane,
        count: Math.min(count, MOST_COUNTED),
        isMore: count > MOST_COUNTED,
      })),
      oldestDueSince: figures.oldestWaitingSince,
      unownedEvents: figures.unownedEvents,
      alerts,
      jobs,
      pause,
      rejections,
      handshakes,
    });
  });

  router.post('/admin/queue/pause', async (req, res) => {
    const form = PauseFormSchema.safeParse(req.body ?? {});
    if (!form.success) throw new BadRequestError('The reason may have at most 200 characters.', 'reason');
    const { id: userId } = loggedInUser(req);
    const reason = form.data.reason === '' ? null : form.data.reason;
    const isChanged = await transaction(pool, async (db) => {
      const isPaused = await setQueuePaused(db, { isPaused: true, userId, reason });
      if (isPaused) await recordAudit(db, { userId, action: 'queue.paused', details: { reason } });
      return isPaused;
    });
    tell(req, isChanged, 'paused', 'alreadyPaused');
    res.redirect(303, '/admin');
  });

  router.post('/admin/queue/resume', async (req, res) => {
    const { id: userId } = loggedInUser(req);
    const isChanged = await transaction(pool, async (db) => {
      const isResumed = await setQueuePaused(db, { isPaused: false });
      if (isResumed) await recordAudit(db, { userId, action: 'queue.resumed' });
      return isResumed;
    });
    if (isChanged) await wakeProcessors(pool).catch(() => undefined); // their own polling finds it a second later
    tell(req, isChanged, 'resumed', 'alreadyRunning');
    res.redirect(303, '/admin');
  });

  router.use(adminIntakeRoutes(context));
  return router;
}

function tell(req: Request, isChanged: boolean, done: string, refused: string): void {
  if (isChanged) flash(req, 'success', `admin:flash.${done}`);
  else flash(req, 'info', `admin:flash.${refused}`);
}
