import { z } from 'zod';

/** How a send may misbehave (meta-platform §8.5). */
export const SendOptionsSchema = z.strictObject({
  /** Entries in one body. */
  batch: z.int().min(1).max(1000).optional(),
  /** Items in one entry. */
  perEntry: z.int().min(1).max(1000).optional(),
  /** Extra copies of each body, one after the other. */
  duplicate: z.int().min(0).max(100).optional(),
  /** The copies carry a new `entry.time` instead of the same bytes. */
  duplicateWithNewTime: z.boolean().optional(),
  /** Copies of each body that leave at the same moment. */
  concurrency: z.int().min(1).max(50).optional(),
  reorder: z.enum(['reverse', 'shuffle']).optional(),
  /** Keep back until the outbox is released. */
  hold: z.boolean().optional(),
  delayMs: z.int().min(0).optional(),
  signature: z.enum(['valid', 'wrong', 'missing', 'sha1only', 'otherSecret', 'truncated']).optional(),
  shape: z.enum(['changes', 'flat', 'dashboardTest']).optional(),
  timeUnit: z.enum(['s', 'ms', 'string']).optional(),
  unknownField: z.boolean().optional(),
  changedFieldsOnly: z.boolean().optional(),
  echo: z.boolean().optional(),
  standby: z.boolean().optional(),
  tombstoneFirst: z.boolean().optional(),
  /** Grows each body to about this many bytes. */
  hugeBody: z
    .int()
    .min(1)
    .max(64 * 1024 * 1024)
    .optional(),
  malformedJson: z.boolean().optional(),
  /** Deliver even where Meta would not. */
  force: z.boolean().optional(),
});

export type SendOptions = z.infer<typeof SendOptionsSchema>;

export const WebhookRequestSchema = z.union([
  z.strictObject({
    object: z.string(),
    entry: z.array(z.record(z.string(), z.unknown())).min(1),
    options: SendOptionsSchema.optional(),
  }),
  z.strictObject({
    template: z.string(),
    /** Id or user name; several take turns. */
    account: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
    customer: z.string().optional(),
    text: z.string().optional(),
    count: z.int().min(1).max(100_000).optional(),
    options: SendOptionsSchema.optional(),
  }),
]);

export type WebhookRequest = z.infer<typeof WebhookRequestSchema>;
