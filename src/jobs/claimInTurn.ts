import { randomUUID } from 'node:crypto';
import {
  claimEvents,
  type ClaimedEvent,
  type ClaimRequest,
  type Lane,
  type Lease,
} from '../models/webhookQueue';
import { type Run } from './run';

export interface Claim {
  lease: Lease;
  events: ClaimedEvent[];
  /** False when every account was asked and had nothing. */
  mayBeMore: boolean;
}

/** Before every account. */
const FIRST = '-1';

/** Claims from account to account: each claim begins after the account that was served last. */
export function claimInTurn(
  { queuePool, worker, config }: Run,
  lane: Lane,
): (request: Pick<ClaimRequest, 'limit' | 'most' | 'except'>) => Promise<Claim> {
  let after = FIRST;
  return async (request) => {
    const lease: Lease = { token: randomUUID(), worker, seconds: config.webhook.leaseSeconds };
    const events = await claimEvents(queuePool, lease, { ...request, lane, after });
    const mayBeMore = events.length > 0 || after !== FIRST;
    // A claim that is not full went through all accounts that come after.
    after = events.length < request.limit ? FIRST : lastAccount(events);
    return { lease, events, mayBeMore };
  };
}

function lastAccount(events: readonly ClaimedEvent[]): string {
  const ids = events.map(({ instagramAccountId }) => BigInt(instagramAccountId ?? 0));
  return ids.reduce((last, id) => (id > last ? id : last)).toString();
}
