import { type TFunction } from 'i18next';
import { type EventAttempt, type EventDetails } from '../models/webhookEvents';

export interface JourneyStep {
  key: 'sent' | 'received' | 'queued' | 'attempt' | 'done';
  at: Date | null;
  /** Since the step before; null where that says nothing. */
  durationMs: number | null;
  kind: 'ok' | 'warn' | 'bad' | 'idle';
  text: string;
  detail?: string;
}

const OUTCOME_KINDS: Readonly<Record<string, JourneyStep['kind']>> = {
  processed: 'ok',
  ignored: 'idle',
  failed: 'warn',
};

/** The way of an event from Meta's own time to its end, oldest step first. */
export function journeyOf(t: TFunction, event: EventDetails, attempts: EventAttempt[]): JourneyStep[] {
  const steps: JourneyStep[] = [];
  if (event.occurredAt !== null)
    steps.push({ key: 'sent', at: event.occurredAt, durationMs: null, kind: 'ok', text: t('journey:sent') });
  const duplicates =
    event.duplicateCount > 0 ? ` ${t('journey:receivedDuplicates', { count: event.duplicateCount })}` : '';
  steps.push({
    key: 'received',
    at: event.receivedAt,
    durationMs: event.occurredAt === null ? null : between(event.occurredAt, event.receivedAt),
    kind: 'ok',
    text: t('journey:received'),
    detail: `${t('journey:receivedDetail')}${duplicates}`,
  });
  for (const [index, attempt] of attempts.entries()) {
    steps.push({
      key: 'attempt',
      at: attempt.startedAt,
      durationMs: between(attempts[index - 1]?.finishedAt ?? event.receivedAt, attempt.startedAt),
      kind: OUTCOME_KINDS[attempt.outcome] ?? 'bad',
      text: t('journey:attempt', { attempt: attempt.attempt, outcome: t(`journey:${attempt.outcome}`) }),
      ...(attempt.errorCode === null ? {} : { detail: attempt.errorCode }),
    });
  }
  return [...steps, lastStep(t, event, attempts)];
}

function lastStep(
  t: TFunction,
  { status, processedAt, nextAttemptAt, receivedAt }: EventDetails,
  attempts: EventAttempt[],
): JourneyStep {
  switch (status) {
    case 'processed':
      return {
        key: 'done',
        at: processedAt,
        durationMs: processedAt && between(attempts.at(-1)?.startedAt ?? receivedAt, processedAt),
        kind: 'ok',
        text: t('journey:done'),
      };
    case 'dead_letter':
      return { key: 'done', at: null, durationMs: null, kind: 'bad', text: t('journey:dead') };
    case 'processing':
      return { key: 'queued', at: null, durationMs: null, kind: 'idle', text: t('journey:processing') };
    case 'failed':
      return {
        key: 'queued',
        at: nextAttemptAt,
        durationMs: null,
        kind: 'idle',
        text: t('journey:willRetry'),
      };
    case 'pending':
      return { key: 'queued', at: null, durationMs: null, kind: 'idle', text: t('journey:queued') };
  }
}

function between(from: Date, to: Date): number {
  return Math.max(0, to.getTime() - from.getTime());
}
