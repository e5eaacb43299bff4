import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { readSignatureHeader, signedBy, signingSecrets, type SigningSecrets } from '../meta/signature';
import { recordAudit } from '../models/auditLog';
import {
  type CheckableRejection,
  listCheckableRejections,
  lockCheckableRejection,
  markRejectionPromoted,
  markRejectionsChecked,
} from '../models/webhookRejections';

/** `gone`: it cannot be checked, or somebody else has just stored it. */
export type CheckOutcome = 'promoted' | 'refused' | 'gone';

export interface CheckSummary {
  promoted: number;
  refused: number;
  /** False when the time was up before all were checked. */
  isComplete: boolean;
}

const BATCH = 50;
const TIME_LIMIT_MS = 8_000;

/** Compares one refused request with today's secrets, and stores it as a fresh delivery when one fits. */
export async function checkRejection(context: AppContext, userId: string, id: string): Promise<CheckOutcome> {
  const outcome = await promoteWhenSigned(context, signingSecrets(context.config.meta), userId, id);
  if (outcome === 'refused') await markRejectionsChecked(context.pool, [id]);
  return outcome;
}

/** The same for all of them, oldest first; each is stored for itself, so what was done stays done. */
export async function checkAllRejections(context: AppContext, userId: string): Promise<CheckSummary> {
  const { pool, config } = context;
  const secrets = signingSecrets(config.meta);
  const deadline = Date.now() + TIME_LIMIT_MS;
  const summary: CheckSummary = { promoted: 0, refused: 0, isComplete: true };
  let after = '0';
  for (;;) {
    const batch = await listCheckableRejections(pool, after, BATCH);
    const signed = batch.filter((rejection) => secretOf(rejection, secrets) !== null);
    for (const { id } of signed) {
      if ((await promoteWhenSigned(context, secrets, userId, id)) === 'promoted') summary.promoted++;
    }
    const refused = batch.filter((rejection) => !signed.includes(rejection)).map(({ id }) => id);
    await markRejectionsChecked(pool, refused);
    summary.refused += refused.length;
    after = batch.at(-1)?.id ?? after;
    if (batch.length < BATCH) break;
    if (Date.now() > deadline) {
      summary.isComplete = false;
      break;
    }
  }
  await recordAudit(pool, { userId, action: 'rejections.checked', details: summary });
  return summary;
}

/**
 * The lock lets one of two operators do it. The delivery is stored by the intake's own path on another connection: should
 * the server die before the mark is committed, the next check finds the same events again, and they are counted as repeats.
 */
async function promoteWhenSigned(
  { pool, intake }: AppContext,
  secrets: SigningSecrets,
  userId: string,
  id: string,
): Promise<CheckOutcome> {
  return transaction(pool, async (db) => {
    const rejection = await lockCheckableRejection(db, id);
    if (rejection === null) return 'gone';
    const secretName = secretOf(rejection, secrets);
    if (secretName === null) return 'refused';
    const { body, contentType } = rejection;
    await intake.store({ body, signedBy: secretName, contentType });
    const deliveryId = await markRejectionPromoted(db, id);
    await recordAudit(db, {
      userId,
      action: 'rejection.promoted',
      subjectType: 'webhook_rejection',
      subjectId: id,
      details: { deliveryId, signedBy: secretName },
    });
    return 'promoted';
  });
}

function secretOf({ body, signature }: CheckableRejection, secrets: SigningSecrets): string | null {
  const given = readSignatureHeader(signature);
  return given === null ? null : signedBy(body, given, secrets);
}
