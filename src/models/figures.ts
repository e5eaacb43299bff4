import { z } from 'zod';
import { type Db, queryRow } from '../db/query';

const CountsSchema = z.record(z.string(), z.number());
const FiguresSchema = z.object({
  events: CountsSchema,
  oldestWaitingSeconds: z.number(),
  oldestWaitingSince: z.date().nullable(),
  deadLettersSince: z.date().nullable(),
  unownedEvents: z.number(),
  /** Null while events are processed. */
  pausedSince: z.date().nullable(),
  /** Requests with a wrong signature in this hour and the last one. */
  wrongSignatures: z.number(),
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

/** From the hourly counts and from steps into indexes: its price does not grow with the number of events. */
export function getFigures(db: Db): Promise<Figures> {
  return queryRow(
    db,
    `WITH RECURSIVE counts AS (
       SELECT coalesce(sum(received), 0) AS received, coalesce(sum(processed), 0) AS processed, coalesce(sum(dead_letter), 0) AS dead_letter
       FROM (
         SELECT received, processed, dead_letter FROM webhook_event_stats WHERE hour = '-infinity'
         UNION ALL
         SELECT received, processed, dead_letter FROM webhook_event_changes
       ) part
     ), begun AS (
       SELECT count(*) FILTER (WHERE status = 'processing') AS processing, count(*) FILTER (WHERE status = 'failed') AS failed
       FROM webhook_queue
       WHERE status IN ('processing', 'failed')
     ), waiting (lane, account_id, due_at) AS ( -- the first of each account in each lane, one step into the index each
       (SELECT lane, account_id, due_at
        FROM webhook_queue
        WHERE status IN ('pending', 'failed')
        ORDER BY lane, account_id, due_at
        LIMIT 1)
       UNION ALL
       SELECT next.lane, next.account_id, next.due_at
       FROM waiting
       CROSS JOIN LATERAL (
         SELECT lane, account_id, due_at
         FROM webhook_queue
         WHERE status IN ('pending', 'failed') AND (lane, account_id) > (waiting.lane, waiting.account_id)
         ORDER BY lane, account_id, due_at
         LIMIT 1
       ) next
     ), oldest AS (
       SELECT min(due_at) AS due_at FROM waiting WHERE due_at <= now()
     ), last_beats AS (
       SELECT DISTINCT ON (job) job, beat_at, outcome, succeeded_at
       FROM job_heartbeats
       ORDER BY job, beat_at DESC
     )
     SELECT
       (SELECT jsonb_build_object('pending', greatest(0, received - processed - dead_letter - processing - failed), 'processing', processing,
                                  'failed', failed, 'processed', processed, 'dead_letter', dead_letter)
        FROM counts CROSS JOIN begun) AS events,
       coalesce((SELECT extract(epoch FROM now() - due_at) FROM oldest), 0)::double precision AS "oldestWaitingSeconds",
       (SELECT due_at FROM oldest) AS "oldestWaitingSince",
       (SELECT event.received_at
        FROM webhook_queue queued
        JOIN webhook_events event ON event.id = queued.event_id
        WHERE queued.status = 'dead_letter'
        ORDER BY queued.event_id
        LIMIT 1) AS "deadLettersSince",
       (SELECT coalesce(sum(received), 0) FROM webhook_event_counts
        WHERE user_id IS NULL AND hour > now() - interval '24 hours')::integer AS "unownedEvents",
       (SELECT paused_at FROM queue_settings WHERE is_paused) AS "pausedSince",
       (SELECT coalesce(sum(count), 0) FROM webhook_rejection_stats
        WHERE reason = 'wrong_signature' AND hour > now() - interval '2 hours')::integer AS "wrongSignatures",
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
