import { type AppContext } from '../context';
import { type Figures, getFigures } from '../models/figures';

export interface Alert {
  name: string;
  severity: 'warning' | 'critical';
  since: string;
  /** One plain sentence. */
  summary: string;
  /** Where docs say what to do. */
  runbook: string;
}

/** A processor starts each minute and beats every fifteen seconds. */
const PROCESSOR_SILENT_SECONDS = 180;
const WAITING_SECONDS = 300;
/** Fewer are somebody trying; Meta with another secret is wrong each time. */
const WRONG_SIGNATURES = 20;
const RUNBOOK = 'docs/runbook.md';

/** What an operator should look at now, most severe first; derived from the database at each call. */
export async function currentAlerts({ pool }: AppContext): Promise<Alert[]> {
  const figures = await getFigures(pool);
  return RULES.flatMap((rule) => rule(figures)).sort((left, right) =>
    left.severity.localeCompare(right.severity),
  );
}

const RULES: readonly ((figures: Figures) => Alert[])[] = [
  ({ jobs }) => {
    const processor = jobs.find(({ job }) => job === 'webhook-processor');
    if (processor === undefined) return [];
    const { secondsSinceBeat, secondsSinceSuccess, hasFailed, beatAt, succeededAt } = processor;
    // A run that fails at once is started again at once, and so shows signs of life.
    const secondsAway = hasFailed ? (secondsSinceSuccess ?? Infinity) : secondsSinceBeat;
    if (secondsAway < PROCESSOR_SILENT_SECONDS) return [];
    const since = hasFailed ? (succeededAt ?? beatAt) : beatAt;
    return [
      alert(
        'webhook_processor_silent',
        'critical',
        since,
        'The webhook processor does not run, or fails each time.',
      ),
    ];
  },
  ({ oldestWaitingSeconds, oldestWaitingSince, pausedSince }) =>
    oldestWaitingSeconds < WAITING_SECONDS || oldestWaitingSince === null || pausedSince !== null
      ? []
      : [
          alert(
            'webhook_events_waiting',
            'critical',
            oldestWaitingSince,
            `The oldest waiting event is ${Math.round(oldestWaitingSeconds)} s old.`,
          ),
        ],
  ({ pausedSince }) =>
    pausedSince === null
      ? []
      : [alert('queue_paused', 'warning', pausedSince, 'An operator has paused the processing of events.')],
  ({ wrongSignatures }) =>
    wrongSignatures < WRONG_SIGNATURES
      ? []
      : [
          alert(
            'signatures_refused',
            'critical',
            new Date(),
            `${wrongSignatures} request(s) to /webhook had a wrong signature within two hours.`,
          ),
        ],
  ({ events, deadLettersSince }) =>
    deadLettersSince === null
      ? []
      : [
          alert(
            'dead_letters',
            'warning',
            deadLettersSince,
            `${events['dead_letter'] ?? 0} event(s) could not be processed and wait for a decision.`,
          ),
        ],
  ({ tokensExpiring, refreshFailingSince }) =>
    refreshFailingSince === null
      ? []
      : [
          alert(
            'tokens_expiring',
            'critical',
            refreshFailingSince,
            `${tokensExpiring} login(s) end within five days and were not refreshed.`,
          ),
        ],
  ({ jobs }) =>
    jobs
      .filter(({ hasFailed }) => hasFailed)
      .map(({ job, beatAt }) =>
        alert(
          `job_failed_${job.replaceAll('-', '_')}`,
          'warning',
          beatAt,
          `The last run of ${job} failed; its log says why.`,
        ),
      ),
];

function alert(name: string, severity: Alert['severity'], since: Date, summary: string): Alert {
  return { name, severity, since: since.toISOString(), summary, runbook: `${RUNBOOK}#${name}` };
}
