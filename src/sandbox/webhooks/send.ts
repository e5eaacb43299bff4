import { newNumericId } from '../ids';
import { type Delivery, type Flow, type SuppressionReason } from '../state';
import { findCustomer, findIgAccount, random, type World } from '../world';
import { composeBodies, withLaterTime, type Body } from './compose';
import { appReasons, eligibilityOf } from './eligibility';
import { templateItems, type WebhookItem } from './items';
import { type SendOptions, type WebhookRequest } from './options';
import { metaJson } from './signature';

/**
 * Puts events into the outbox: each either as a delivery or, where Meta would stay silent,
 * as a suppressed one with its reasons.
 * @returns the new outbox entries, in the order they will leave
 */
export function sendItems(
  world: World,
  items: WebhookItem[],
  summary: string,
  options: SendOptions = {},
): Delivery[] {
  const judged = items.map((item) => ({ item, ...judge(world, item, options) }));
  const suppressed = judged
    .filter(({ flows }) => flows.length === 0)
    .map(({ item, reasons }) => suppressedDelivery(world, item, summary, reasons));
  const sent = (['facebook', 'instagram'] as const).flatMap((flow) => {
    const deliverable = judged.filter(({ flows }) => flows.includes(flow)).map(({ item }) => item);
    const bodies = inOrder(world, composeBodies(deliverable, options), options.reorder);
    return bodies.flatMap((body) => deliveriesOf(world, body, flow, summary, options));
  });
  world.state.outbox.push(...suppressed, ...sent);
  forgetOldDeliveries(world);
  world.changed();
  world.wakeSender();
  return [...suppressed, ...sent];
}

/** Serves `POST /_sandbox/webhooks`. @throws Error for an unknown template, account or customer */
export function sendWebhook(world: World, request: WebhookRequest): Delivery[] {
  if ('entry' in request) return sendRaw(world, request);
  const make = templateItems[request.template];
  if (make === undefined) {
    throw new Error(`Unknown template; one of: ${Object.keys(templateItems).join(', ')}`);
  }
  const names = [request.account ?? world.state.igAccounts[0]?.id ?? ''].flat();
  const accounts = names.map((name) => known(findIgAccount(world.state, name), name));
  const customerName = request.customer ?? world.state.customers[0]?.id ?? '';
  const customer = known(findCustomer(world.state, customerName), customerName);
  const items = Array.from({ length: request.count ?? 1 }, (_, index) => {
    const account = accounts[index % accounts.length];
    if (account === undefined) throw new Error('No account');
    return make(world, account, customer, request.text ?? `Demo ${request.template} ${index + 1}`);
  });
  return sendItems(world, items, `Simulated ${request.template.replace('_', ' ')}`, request.options);
}

/** Sends a body as given; only its addressees are checked. */
function sendRaw(world: World, request: Extract<WebhookRequest, { entry: unknown }>): Delivery[] {
  const items = request.entry.map((entry): WebhookItem => {
    const [change] = Array.isArray(entry['changes']) ? (entry['changes'] as { field?: string }[]) : [];
    const field = change?.field ?? (typeof entry['field'] === 'string' ? entry['field'] : 'messages');
    return { object: request.object, entryId: String(entry['id']), field, slot: 'changes', value: {}, at: 0 };
  });
  const options = request.options ?? {};
  const judged = items.map((item) => judge(world, item, options));
  const flow = judged.find(({ flows }) => flows.length > 0)?.flows[0];
  const [first] = items;
  if (first === undefined) return [];
  const text = metaJson({ object: request.object, entry: request.entry });
  const body = { items, text: options.malformedJson === true ? text.slice(0, -2) : text };
  const deliveries =
    flow === undefined
      ? [suppressedDelivery(world, first, 'Raw body', judged[0]?.reasons ?? [])]
      : deliveriesOf(world, body, flow, 'Raw body', options);
  world.state.outbox.push(...deliveries);
  world.changed();
  world.wakeSender();
  return deliveries;
}

function judge(
  world: World,
  item: WebhookItem,
  options: SendOptions,
): { flows: Flow[]; reasons: SuppressionReason[] } {
  if (options.force === true) return { flows: ['facebook'], reasons: [] };
  const account = findIgAccount(world.state, item.entryId);
  if (item.object === 'instagram' && account !== undefined && options.shape !== 'dashboardTest') {
    return eligibilityOf(world.state, account, item.field);
  }
  const reasons = appReasons(world.state, item.object, item.field);
  return { flows: reasons.length === 0 ? ['facebook'] : [], reasons };
}

function deliveriesOf(
  world: World,
  body: Body,
  flow: Flow,
  summary: string,
  options: SendOptions,
): Delivery[] {
  const lane = options.reorder === undefined ? (body.items[0]?.entryId ?? '') : 'reordered';
  const copies = Array.from({ length: (options.duplicate ?? 0) + 1 }, (_, index) => ({
    lane,
    text: options.duplicateWithNewTime === true ? withLaterTime(body.text, index * 1000) : body.text,
  }));
  const parallel = Array.from({ length: (options.concurrency ?? 1) - 1 }, (_, index) => ({
    lane: `${lane}#${index}`,
    text: body.text,
  }));
  return [...copies, ...parallel].map((copy) => ({
    ...blankDelivery(world, body.items, summary),
    body: copy.text,
    lane: copy.lane,
    flow,
    signature: options.signature ?? 'valid',
    state: options.hold === true ? 'held' : 'pending',
    nextAttemptAt: world.now() + (options.delayMs ?? 0),
  }));
}

function suppressedDelivery(
  world: World,
  item: WebhookItem,
  summary: string,
  reasons: SuppressionReason[],
): Delivery {
  return { ...blankDelivery(world, [item], summary), state: 'suppressed', reasons };
}

function blankDelivery(world: World, items: WebhookItem[], summary: string): Delivery {
  const object = items[0]?.object ?? 'instagram';
  const subscription = world.state.subscriptions.find((known) => known.object === object);
  return {
    id: newNumericId('7', 12),
    summary: items.length > 1 ? `${summary}, ${items.length} events` : summary,
    object,
    accountIds: [...new Set(items.map(({ entryId }) => entryId))],
    fields: [...new Set(items.map(({ field }) => field))],
    flow: 'facebook',
    createdAt: world.now(),
    body: '',
    callbackUrl: subscription?.callbackUrl ?? world.state.app.webhookUrl,
    signature: 'valid',
    state: 'pending',
    reasons: [],
    attempts: [],
    nextAttemptAt: world.now(),
    lane: '',
  };
}

function inOrder(world: World, bodies: Body[], reorder: SendOptions['reorder']): Body[] {
  if (reorder === 'reverse') return bodies.toReversed();
  if (reorder === undefined) return bodies;
  return bodies
    .map((body) => ({ body, rank: random(world) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ body }) => body);
}

const KEPT_DELIVERIES = 2000;

function forgetOldDeliveries(world: World): void {
  const { outbox } = world.state;
  const isOpen = (delivery: Delivery) => delivery.state === 'pending' || delivery.state === 'held';
  if (outbox.length <= KEPT_DELIVERIES * 2) return;
  const recent = outbox.slice(-KEPT_DELIVERIES);
  world.state.outbox = [...outbox.slice(0, -KEPT_DELIVERIES).filter(isOpen), ...recent];
}

function known<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`Unknown: ${name}`);
  return value;
}
