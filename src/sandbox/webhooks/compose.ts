import { type WebhookItem } from './items';
import { type SendOptions } from './options';
import { metaJson } from './signature';

export interface Body {
  text: string;
  items: WebhookItem[];
}

/** Puts items into as many bodies as the options ask for. */
export function composeBodies(items: WebhookItem[], options: SendOptions): Body[] {
  const prepared = items.flatMap((item) => prepareItem(item, options));
  const entries = groupIntoEntries(prepared, options.perEntry ?? 1);
  return chunk(entries, options.batch ?? 1).map((group) => ({
    items: group.flat(),
    text: composeText(group, options),
  }));
}

/** The same body as if Meta had sent it `laterMs` later. */
export function withLaterTime(text: string, laterMs: number): string {
  return text.replace(/"time":(\d+)/g, (_, time: string) => {
    const isSeconds = time.length < 12;
    return `"time":${Number(time) + (isSeconds ? Math.ceil(laterMs / 1000) : laterMs)}`;
  });
}

function prepareItem(item: WebhookItem, options: SendOptions): WebhookItem[] {
  let prepared = item;
  if (options.echo === true && item.slot === 'messaging') prepared = asEcho(prepared);
  if (options.standby === true && item.slot === 'messaging') prepared = { ...prepared, slot: 'standby' };
  const withTombstone = options.tombstoneFirst === true ? [...tombstoneOf(prepared), prepared] : [prepared];
  return options.unknownField === true
    ? withTombstone.flatMap((each) => [each, unknownOf(each)])
    : withTombstone;
}

function asEcho(item: WebhookItem): WebhookItem {
  const { sender, recipient, message } = item.value;
  return {
    ...item,
    value: {
      ...item.value,
      sender: recipient,
      recipient: sender,
      ...(isRecord(message) ? { message: { ...message, is_echo: true } } : {}),
    },
  };
}

function tombstoneOf(item: WebhookItem): WebhookItem[] {
  const { message } = item.value;
  if (!isRecord(message)) return [];
  return [{ ...item, value: { ...item.value, message: { mid: message['mid'], is_deleted: true } } }];
}

/** What a future version of Meta might add beside the event. */
function unknownOf(item: WebhookItem): WebhookItem {
  const future = { future_key: { nested: [1, 'zwei'] } };
  return item.slot === 'changes'
    ? { ...item, field: 'future_field', value: future }
    : { ...item, value: { ...pick(item.value, ['sender', 'recipient', 'timestamp']), future_event: future } };
}

function groupIntoEntries(items: WebhookItem[], perEntry: number): WebhookItem[][] {
  const entries: WebhookItem[][] = [];
  for (const item of items) {
    const open = entries.findLast(([first]) => first?.entryId === item.entryId && first.slot === item.slot);
    if (open !== undefined && open.length < perEntry) open.push(item);
    else entries.push([item]);
  }
  return entries;
}

function composeText(entries: WebhookItem[][], options: SendOptions): string {
  const body = {
    object: entries[0]?.[0]?.object,
    entry: entries.map((items) => composeEntry(items, options)),
  };
  const padding = (options.hugeBody ?? 0) - metaJson(body).length;
  const text = metaJson(padding > 0 ? { ...body, padding: 'x'.repeat(padding) } : body);
  return options.malformedJson === true ? text.slice(0, -2) : text;
}

function composeEntry(items: WebhookItem[], options: SendOptions): object {
  const [first] = items;
  if (first === undefined) return {};
  if (options.shape === 'dashboardTest') return dashboardTestEntry(items);
  const head = {
    id: first.entryId,
    ...(first.object === 'permissions' ? { uid: first.entryId } : {}),
    time: inUnit(first.at, options.timeUnit ?? (first.slot === 'changes' ? 's' : 'ms')),
  };
  if (first.slot !== 'changes') {
    return { ...head, [first.slot]: items.map((item) => withTimestamp(item.value, options.timeUnit)) };
  }
  if (options.changedFieldsOnly === true) return { ...head, changed_fields: items.map(({ field }) => field) };
  if (options.shape === 'flat') return { ...head, field: first.field, value: first.value };
  return { ...head, changes: items.map(({ field, value }) => ({ field, value })) };
}

/** What the dashboard's Test button sends (meta-platform §3.7). */
function dashboardTestEntry(items: WebhookItem[]): object {
  const at = items[0]?.at ?? 0;
  const changes = items.map(({ field, slot, value }) => ({
    field,
    value:
      slot === 'changes'
        ? value
        : {
            sender: { id: '12334' },
            recipient: { id: '23245' },
            timestamp: String(Math.floor(at / 1000)),
            message: { mid: 'random_mid', text: 'random_text' },
          },
  }));
  return { id: '0', time: Math.floor(at / 1000), changes };
}

function withTimestamp(
  value: Record<string, unknown>,
  unit: SendOptions['timeUnit'],
): Record<string, unknown> {
  const { timestamp } = value;
  if (unit === undefined || typeof timestamp !== 'number') return value;
  return { ...value, timestamp: inUnit(timestamp, unit) };
}

function inUnit(at: number, unit: 's' | 'ms' | 'string'): number | string {
  if (unit === 's') return Math.floor(at / 1000);
  return unit === 'ms' ? at : String(at);
}

function chunk<T>(list: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
    list.slice(index * size, (index + 1) * size),
  );
}

function pick(value: Record<string, unknown>, names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => names.includes(name)));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
