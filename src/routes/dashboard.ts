import { Router } from 'express';
import { type TFunction } from 'i18next';
import { type AppContext } from '../context';
import { explainFailure } from '../failures';
import { loggedInUser, requireLogin } from '../middleware/requireLogin';
import { listAccountsByUser, type WholeAccount } from '../models/instagramAccounts';
import {
  type EventTotals,
  getEventTotals,
  getLatency,
  listCountsByHour,
  listSparklines,
} from '../models/webhookEventStats';
import { listEvents } from '../models/webhookEvents';
import { summarize } from './eventSummary';

const EVERYTHING = { from: null, to: null, accountId: null };
const NO_FILTERS = { status: [], eventType: [], accountId: [], from: null, to: null, q: null };
const CONNECT_HREF = '/oauth/start?provider=facebook';
const NO_SPARKLINE: readonly number[] = Array.from({ length: 24 }, () => 0);

export function dashboardRoutes({ pool }: AppContext): Router {
  const router = Router();
  router.use(['/dashboard', '/onboarding'], requireLogin);

  router.get('/dashboard', async (req, res) => {
    const t = res.locals['t'] as TFunction;
    const { id: userId } = loggedInUser(req);
    // The overview is the person's own, also for operators.
    const viewer = { userId, isOperator: false };
    const [accounts, stats, series, latency, sparklines, recent] = await Promise.all([
      listAccountsByUser(pool, userId),
      getEventTotals(pool, viewer, EVERYTHING),
      listCountsByHour(pool, viewer, EVERYTHING),
      getLatency(pool, userId),
      listSparklines(pool, userId),
      listEvents(pool, viewer, NO_FILTERS, { cursor: null, offset: 0, limit: 8 }),
    ]);
    const steps = stepsFor(accounts, stats, t);
    res.render('dashboard', {
      verdict: verdictFor(t, accounts, stats),
      accounts: accounts.map((account) => ({
        id: account.id,
        username: account.username,
        status: account.status,
        statusCode: account.statusCode,
        failure:
          account.statusCode === null
            ? null
            : explainFailure(t, account.statusCode, { accountId: account.id }),
        lastEventAt: account.lastEventAt,
        sparkline: sparklines.get(account.id) ?? NO_SPARKLINE,
      })),
      stats,
      series,
      latency,
      recent: recent.map((event) => ({ ...event, summary: summarize(t, event) })),
      checklist: steps.every(({ done }) => done) ? null : steps,
    });
  });

  router.get('/onboarding', async (req, res) => {
    const { id: userId } = loggedInUser(req);
    const [accounts, stats] = await Promise.all([
      listAccountsByUser(pool, userId),
      getEventTotals(pool, { userId, isOperator: false }, EVERYTHING),
    ]);
    res.render('onboarding', { steps: stepsFor(accounts, stats, res.locals['t'] as TFunction) });
  });

  return router;
}

interface Step {
  key: 'account' | 'connected' | 'subscribed' | 'first_event';
  done: boolean;
  href: string | null;
  /** Why it is not done yet, where we know. */
  missing?: string | undefined;
}

function stepsFor(accounts: WholeAccount[], stats: EventTotals, t: TFunction): Step[] {
  const live = accounts.filter(({ status }) => status !== 'disconnected');
  const [first] = live;
  return [
    { key: 'account', done: true, href: null },
    { key: 'connected', done: live.length > 0, href: CONNECT_HREF },
    {
      key: 'subscribed',
      done: live.some(({ confirmedFields }) => confirmedFields.length > 0),
      href: first === undefined ? null : `/accounts/${first.id}`,
      missing: first?.subscriptionCode ? explainFailure(t, first.subscriptionCode).what : undefined,
    },
    { key: 'first_event', done: stats.total > 0, href: live.length === 0 ? null : '/events' },
  ];
}

interface Verdict {
  kind: 'ok' | 'warn' | 'bad' | 'idle';
  text: string;
  detail?: string;
}

/** As for the operators' alert. */
const BEHIND_MS = 5 * 60_000;

/** One sentence; the worst thing first. */
function verdictFor(t: TFunction, accounts: WholeAccount[], stats: EventTotals): Verdict {
  const count = (...statuses: WholeAccount['status'][]) =>
    accounts.filter(({ status }) => statuses.includes(status)).length;
  const say = (kind: Verdict['kind'], key: string, number = 0): Verdict => ({
    kind,
    text: t(`verdicts:${key}`, { count: number }),
    detail: t(`verdicts:${key}Detail`, { count: number }),
  });
  if (accounts.length === 0) return say('idle', 'idle');
  const lost = count('needs_reconnect');
  if (lost > 0) return say('bad', 'reconnect', lost);
  if (stats.deadLetter > 0) return say('bad', 'dead', stats.deadLetter);
  const partly = count('limited', 'webhooks_down', 'pending');
  if (partly > 0) return say('warn', 'warn', partly);
  if (stats.dueSince !== null && Date.now() - stats.dueSince.getTime() > BEHIND_MS)
    return say('warn', 'behind');
  const active = count('active');
  if (active === 0) return { kind: 'idle', text: t('verdicts:disconnected') };
  return say('ok', 'ok', active);
}
