import { type Customer, type Delivery, type IgAccount, type SuppressionReason } from '../state';
import { eligibilityOf } from '../webhooks/eligibility';
import { pageOfIgAccount, type World } from '../world';

/** What the views show of an account: connected or not, and why nothing is delivered. */
export interface AccountCard {
  id: string;
  username: string;
  name: string;
  hue: number;
  isConnected: boolean;
  status: string;
  problem: SuppressionReason | null;
}

export interface DeliveryRow {
  id: string;
  summary: string;
  state: 'delivered' | 'suppressed' | 'retrying' | 'waiting' | 'held' | 'dropped';
  when: string;
  detail: string;
  reasons: SuppressionReason[];
  attempts: { number: number; when: string; result: string; latencyMs: number; isAccepted: boolean }[];
  body: string;
}

/** @param field the webhook field that `problem` is about */
export function accountCard(world: World, account: IgAccount, field = 'comments'): AccountCard {
  const { flows, reasons } = eligibilityOf(world.state, account, field);
  const page = pageOfIgAccount(world.state, account.id);
  const installers = (page?.installs ?? []).map(({ installedBy }) => personName(world, installedBy));
  const isConnected = installers.length > 0 || account.installs.length > 0;
  const status = installers.length > 0 ? `Connected by ${installers.join(', ')}` : 'Not connected';
  return {
    id: account.id,
    username: account.username,
    name: account.name,
    hue: Number(account.id.at(-3)) % 6,
    isConnected,
    status: account.installs.length > 0 ? 'Connected with Instagram Login' : status,
    problem: flows.length > 0 ? null : (reasons[0] ?? null),
  };
}

export function deliveryRow(world: World, delivery: Delivery): DeliveryRow {
  const last = delivery.attempts.at(-1);
  const state = shownState(delivery);
  return {
    id: delivery.id,
    summary: delivery.summary,
    state,
    when: ago(world, delivery.createdAt),
    detail: detailOf(world, delivery, state, last),
    reasons: delivery.reasons,
    attempts: delivery.attempts.map(({ number, at, status, answer, latencyMs, verdict }) => ({
      number,
      when: ago(world, at),
      result: status === null ? answer : `${status} ${answer.slice(0, 60)}`.trim(),
      latencyMs,
      isAccepted: verdict === 'accepted',
    })),
    body: delivery.body.slice(0, 4000),
  };
}

/** The newest 12 messages between the two, oldest first. */
export function conversation(world: World, account: IgAccount, customer: Customer) {
  return world.state.messages
    .filter(({ igAccountId, customerId }) => igAccountId === account.id && customerId === customer.id)
    .slice(-12)
    .map((message) => ({
      mid: message.mid,
      fromCustomer: message.fromCustomer,
      text: message.deleted
        ? null
        : (message.text ?? `(${message.attachment?.type.replace('_', ' ') ?? ''})`),
      isEdited: message.edits > 0,
      reaction: message.reaction,
      when: ago(world, message.createdAt),
    }));
}

/** Newest first. */
export function recentComments(world: World, account: IgAccount) {
  return world.state.comments
    .filter(({ igAccountId, deleted }) => igAccountId === account.id && !deleted)
    .toSorted((a, b) => b.createdAt - a.createdAt)
    .map((comment) => ({
      id: comment.id,
      isReply: comment.parentId !== null,
      author: world.state.customers.find(({ id }) => id === comment.customerId)?.username ?? account.username,
      text: comment.text,
      media: world.state.media.find(({ id }) => id === comment.mediaId)?.caption ?? '',
      when: ago(world, comment.createdAt),
    }));
}

export function ago(world: World, at: number): string {
  const seconds = Math.max(0, Math.round((world.now() - at) / 1000));
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 172_800
    ? `${Math.floor(seconds / 3600)} h ago`
    : `${Math.floor(seconds / 86_400)} days ago`;
}

export function personName(world: World, personId: string): string {
  return world.state.people.find(({ id }) => id === personId)?.name ?? personId;
}

function shownState(delivery: Delivery): DeliveryRow['state'] {
  if (delivery.state !== 'pending') return delivery.state;
  return delivery.attempts.length > 0 ? 'retrying' : 'waiting';
}

function detailOf(
  world: World,
  delivery: Delivery,
  state: DeliveryRow['state'],
  last: Delivery['attempts'][number] | undefined,
): string {
  const result = last === undefined ? '' : last.status === null ? last.answer : `answer ${last.status}`;
  switch (state) {
    case 'delivered': {
      const tries = delivery.attempts.length;
      return `Accepted in ${last?.latencyMs ?? 0} ms${tries > 1 ? `, at attempt ${tries}` : ''}`;
    }
    case 'retrying': {
      const seconds = Math.max(0, Math.round((delivery.nextAttemptAt - world.now()) / 1000));
      return `Attempt ${delivery.attempts.length} failed (${result}); next in ${seconds} s`;
    }
    case 'suppressed':
      return delivery.reasons[0]?.message ?? 'Not sent';
    case 'held':
      return 'Held back until released';
    case 'dropped':
      return `Given up after ${delivery.attempts.length} attempts (${result})`;
    case 'waiting':
      return 'On its way';
  }
}
