import { z } from 'zod';
import { type Db, queryRow } from '../db/query';

const CountsSchema = z.record(z.string(), z.number());
const FiguresSchema = z.object({
  events: CountsSchema,
  oldestWaitingSeconds: z.number(),
  oldestWaitingSince: z.date().nullable(),
  deadLettersSince: z.date().nullable(),
  unownedEvents: z.number(),
  accounts: CountsSchema,
  tokensExpiring: z.number(),
  refreshes: CountsSchema,
  refreshFailingSince: z.date().nullable(),
  jobs: z.array(
    z.object({
      job: z.string(),
      secondsSinceBeat: z.number(),
      beatAt: z.coerce.date(),
      /** Of the last run that ended. */
      hasFailed: z.boolean(),
      secondsSinceSuccess: z.number().nullable(),
      succeededAt: z.coerce.date().nullable(),
    }),
  ),
  users: z.number(),
});
/** What /metrics and /alerts say about the whole installation. Times are the database's. */
export type Figures = z.infer<typeof FiguresSchema>;

/** Open events are counted from their partial index and finished ones from the hourly counts. */
export function getFigures(db: Db): Promise<Figures> {
  return queryRow(
    db,
    `WITH open_events AS (
       SELECT status, count(*) AS count, min(received_at) FILTER (WHERE next_attempt_at <= now()) AS oldest
       FROM webhook_events
       WHERE status IN ('pending', 'processing', 'failed')
       GROUP BY status
     ), finished_events AS (
       SELECT coalesce(sum(processed), 0) AS processed, coalesce(sum(dead_letter), 0) AS dead_letter
       FROM webhook_event_stats
     ), last_beats AS (
       SELECT DISTINCT ON (job) job, beat_at, outcome, succeeded_at
       FROM job_heartbeats
       ORDER BY job, beat_at DESC
     )
     SELECT
       (SELECT jsonb_build_object('pending', 0, 'processing', 0, 'failed', 0, 'processed', processed, 'dead_letter', dead_letter) FROM finished_events)
         || coalesce((SELECT jsonb_object_agg(status, count) FROM open_events), '{}') AS events,
       coalesce((SELECT extract(epoch FROM now() - min(oldest)) FROM open_events), 0)::double precision AS "oldestWaitingSeconds",
       (SELECT min(oldest) FROM open_events) AS "oldestWaitingSince",
       (SELECT min(received_at) FROM webhook_events WHERE status = 'dead_letter') AS "deadLettersSince",
       (SELECT count(*) FROM webhook_events WHERE instagram_account_id IS NULL AND received_at > now() - interval '24 hours')::integer AS "unownedEvents",
       coalesce((SELECT jsonb_object_agg(status, count) FROM (SELECT status, count(*) FROM instagram_accounts GROUP BY status) AS by_status), '{}') AS accounts,
       (SELECT count(*) FROM meta_accounts WHERE status = 'active' AND token_expires_at < now() + interval '5 days')::integer AS "tokensExpiring",
       coalesce((SELECT jsonb_object_agg(outcome, count)
                 FROM (SELECT outcome, count(*) FROM token_refresh_log WHERE started_at > now() - interval '24 hours' GROUP BY outcome) AS by_outcome), '{}') AS refreshes,
       (SELECT min(token_expires_at - interval '5 days') FROM meta_accounts WHERE status = 'active' AND token_expires_at < now() + interval '5 days') AS "refreshFailingSince",
       coalesce((SELECT jsonb_agg(jsonb_build_object('job', job, 'secondsSinceBeat', extract(epoch FROM now() - beat_at), 'hasFailed', outcome IS NOT DISTINCT FROM 'failed', 'beatAt', beat_at,
                                            'secondsSinceSuccess', extract(epoch FROM now() - succeeded_at), 'succeededAt', succeeded_at) ORDER BY job)
                 FROM last_beats), '[]') AS jobs,
       (SELECT count(*) FROM users)::integer AS users`,
    [],
    FiguresSchema,
  );
}
