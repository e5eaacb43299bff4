import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type AppContext } from '../context';
import { type Figures, getFigures } from '../models/figures';

export interface Metrics {
  /** Up to date with the database, for the Prometheus text or JSON. */
  read(): Promise<Registry>;
}

/** One gauge per figure, read together from the database at each scrape. Labels hold states and kinds, never people. */
export function createMetrics({ pool }: AppContext): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauges = GAUGES.map((definition) => ({
    ...definition,
    gauge: new Gauge({
      name: `insta_connect_${definition.name}`,
      help: definition.help,
      labelNames: definition.labels ?? [],
      registers: [registry],
    }),
  }));
  return {
    async read() {
      const figures = await getFigures(pool);
      for (const { gauge, read } of gauges) {
        gauge.reset();
        for (const { labels, value } of read(figures)) gauge.set(labels ?? {}, value);
      }
      return registry;
    },
  };
}

interface GaugeDefinition {
  name: string;
  help: string;
  labels?: string[];
  read: (figures: Figures) => { labels?: Record<string, string>; value: number }[];
}

const byStatus = (counts: Record<string, number>) =>
  Object.entries(counts).map(([status, value]) => ({ labels: { status }, value }));

const GAUGES: readonly GaugeDefinition[] = [
  {
    name: 'webhook_events',
    help: 'Webhook events by status.',
    labels: ['status'],
    read: ({ events }) => byStatus(events),
  },
  {
    name: 'webhook_oldest_waiting_seconds',
    help: 'Age of the oldest event that is due and not processed.',
    read: ({ oldestWaitingSeconds }) => [{ value: oldestWaitingSeconds }],
  },
  {
    name: 'webhook_unowned_events',
    help: 'Events of accounts that nobody connected, last 24 hours.',
    read: ({ unownedEvents }) => [{ value: unownedEvents }],
  },
  {
    name: 'instagram_accounts',
    help: 'Connected accounts by status.',
    labels: ['status'],
    read: ({ accounts }) => byStatus(accounts),
  },
  {
    name: 'tokens_expiring',
    help: 'Active logins whose token ends within five days.',
    read: ({ tokensExpiring }) => [{ value: tokensExpiring }],
  },
  {
    name: 'token_refreshes_24h',
    help: 'Refresh attempts of the last 24 hours by outcome.',
    labels: ['outcome'],
    read: ({ refreshes }) =>
      Object.entries(refreshes).map(([outcome, value]) => ({ labels: { outcome }, value })),
  },
  {
    name: 'job_seconds_since_beat',
    help: 'Seconds since a job last showed a sign of life.',
    labels: ['job'],
    read: ({ jobs }) =>
      jobs.map(({ job, secondsSinceBeat }) => ({ labels: { job }, value: secondsSinceBeat })),
  },
  {
    name: 'job_last_run_failed',
    help: '1 when the last finished run of a job failed.',
    labels: ['job'],
    read: ({ jobs }) => jobs.map(({ job, hasFailed }) => ({ labels: { job }, value: hasFailed ? 1 : 0 })),
  },
  { name: 'users', help: 'Registered people.', read: ({ users }) => [{ value: users }] },
];
