import { type Request, Router } from 'express';
import { z } from 'zod';
import { type AppContext } from '../context';
import { NotFoundError } from '../errors';
import { checkAllRejections, checkRejection, type CheckOutcome } from '../intake/checkAgain';
import { flash, type FlashKind } from '../middleware/flash';
import { loggedInUser } from '../middleware/requireLogin';
import { countHandshakes, listHandshakes } from '../models/webhookHandshakes';
import {
  countRejections,
  findRejection,
  listRejections,
  REJECTION_REASONS,
  type RejectionDetails,
} from '../models/webhookRejections';
import { ID_PATTERN } from './eventFilters';

const PAGE_SIZE = 50;
/** Of a refused body, in bytes: enough to see what it is. */
const SHOWN_BYTES = 16 * 1024;

/** Whatever cannot be read shows the newest of all. */
const ListQuerySchema = z.object({
  reason: z.enum(REJECTION_REASONS).nullable().catch(null),
  cursor: z.string().regex(ID_PATTERN).nullable().catch(null),
});

const OUTCOME_KINDS: Record<CheckOutcome, FlashKind> = {
  promoted: 'success',
  refused: 'error',
  gone: 'info',
};

/** Who knocked at the webhook's address: what was refused, and the handshakes. Access is checked before. */
export function adminIntakeRoutes(context: AppContext): Router {
  const { pool, config, rejections: rejectionLog, handshakes: handshakeLog } = context;
  const router = Router();

  router.get('/admin/rejections', async (req, res) => {
    await rejectionLog.flush(); // what was refused a moment ago is what one looks for
    const { reason, cursor } = ListQuerySchema.parse(req.query);
    const [rejections, counts] = await Promise.all([
      listRejections(pool, { reason, cursor, limit: PAGE_SIZE + 1 }),
      countRejections(pool),
    ]);
    const shown = rejections.slice(0, PAGE_SIZE);
    const href = (more: Record<string, string>) => {
      const query = new URLSearchParams({ ...(reason === null ? {} : { reason }), ...more }).toString();
      return `/admin/rejections${query === '' ? '' : `?${query}`}`;
    };
    res.render('admin-rejections', {
      rejections: shown,
      reason,
      reasons: REJECTION_REASONS.map((name) => ({
        name,
        count: counts.find((row) => row.reason === name)?.count ?? 0,
      })),
      newerHref: cursor === null ? null : href({}),
      olderHref: rejections.length > PAGE_SIZE ? href({ cursor: shown.at(-1)?.id ?? '' }) : null,
    });
  });

  router.post('/admin/rejections/check', async (req, res) => {
    const { promoted, refused, isComplete } = await checkAllRejections(context, loggedInUser(req).id);
    const kind = promoted > 0 ? 'success' : refused > 0 ? 'error' : 'info';
    const text = !isComplete ? 'checkedSome' : promoted + refused === 0 ? 'nothingToCheck' : 'checkedAll';
    flash(req, kind, `admin:flash.${text}`, { promoted: String(promoted), refused: String(refused) });
    res.redirect(303, '/admin/rejections');
  });

  router.get('/admin/rejections/:id', async (req, res) => {
    const rejection = await findRejection(pool, idOf(req), SHOWN_BYTES);
    if (rejection === null) throw new NotFoundError();
    res.render('admin-rejection', {
      rejection,
      bodyText: rejection.bodyStart === null ? null : inertText(rejection.bodyStart),
      isCut: (rejection.keptBytes ?? 0) > SHOWN_BYTES,
      sha256: rejection.bodySha256?.toString('hex') ?? null,
      whyNot: whyNotCheckable(rejection),
    });
  });

  router.post('/admin/rejections/:id/check', async (req, res) => {
    const id = idOf(req);
    if ((await findRejection(pool, id, 0)) === null) throw new NotFoundError();
    const outcome = await checkRejection(context, loggedInUser(req).id, id);
    flash(req, OUTCOME_KINDS[outcome], `admin:flash.check.${outcome}`);
    res.redirect(303, `/admin/rejections/${id}`);
  });

  router.get('/admin/handshakes', async (req, res) => {
    await handshakeLog.flush();
    const { cursor } = ListQuerySchema.parse(req.query);
    const [handshakes, counts] = await Promise.all([
      listHandshakes(pool, cursor, PAGE_SIZE + 1),
      countHandshakes(pool),
    ]);
    const shown = handshakes.slice(0, PAGE_SIZE);
    res.render('admin-handshakes', {
      handshakes: shown,
      counts,
      callbackUrl: `${config.baseUrl}/webhook`,
      ourTokenLength: config.verifyToken.length,
      newerHref: cursor === null ? null : '/admin/handshakes',
      olderHref: handshakes.length > PAGE_SIZE ? `/admin/handshakes?cursor=${shown.at(-1)?.id ?? ''}` : null,
    });
  });

  return router;
}

/** @throws NotFoundError when it is no id at all */
function idOf(req: Request): string {
  const { id } = req.params;
  if (typeof id !== 'string' || !ID_PATTERN.test(id)) throw new NotFoundError();
  return id;
}

/** Null when it can be checked; else the last part of a key in the catalogue. */
function whyNotCheckable(rejection: RejectionDetails): 'promoted' | 'unread' | 'cut' | null {
  if (rejection.isCheckable) return null;
  if (rejection.promotedAt !== null) return 'promoted';
  return rejection.bodyStart === null ? 'unread' : 'cut';
}

/** Readable, and unable to play tricks: no control characters, nothing that turns the direction of writing. */
function inertText(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/(?![\n\r\t])[\p{Cc}\p{Bidi_Control}]/gu, '\uFFFD');
}
