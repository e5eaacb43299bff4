import { createHash, randomUUID } from 'node:crypto';
import { dedupeKey } from './dedupeKey';
import { parseMetaJson } from './json';
import { type Lane, laneOf } from './missing';
import { instantOf, isObject, type Json } from './values';

/** One thing that happened, as one delivery told it. */
export interface WebhookItem {
  /** instagram, page, permissions …; null when the body does not say. */
  object: string | null;
  /** The account, Page or person it belongs to. */
  entryId: string | null;
  /** The name of the subscription field, whatever form the item came in. */
  eventType: string;
  dedupeKey: string;
  /** The item as Meta sent it; null when PostgreSQL's jsonb cannot hold it. */
  payload: string | null;
  occurredAt: Date | null;
  /** Sent by the dashboard's Test button. */
  isTest: boolean;
  /** Why processing cannot even begin. */
  problem: string | null;
  lane: Lane;
}

export interface ReadDelivery {
  object: string | null;
  items: WebhookItem[];
  /** Why nothing could be read; the bytes are kept all the same. */
  parseError: string | null;
}

/** Deeper than anything Meta sends; jsonb and JSON.stringify give up at some thousands. */
const MAX_DEPTH = 64;

/**
 * Splits the body of a POST into its items, in every form Meta is known to use: changes, messaging, standby, a field on
 * the entry itself, changed_fields, and the bare field of the dashboard's test. Never throws; what it does not know
 * becomes an item of its own rather than nothing.
 * @see https://developers.facebook.com/docs/graph-api/webhooks/getting-started#event-notifications
 */
export function readDelivery(body: Buffer): ReadDelivery {
  const text = body.toString('utf8').replace(/^\uFEFF/, '');
  if (isDeeperThan(text, MAX_DEPTH)) return unreadable(body, 'too_deep');
  let json: unknown;
  try {
    json = parseMetaJson(text);
  } catch {
    return unreadable(body, 'not_json');
  }
  if (!isObject(json)) return unreadable(body, 'not_a_notification');
  const object = shortText(json['object']);
  if (Array.isArray(json['entry'])) {
    const items = json['entry'].flatMap((entry: unknown) => readEntry(object, entry));
    return items.length === 0 ? unreadable(body, 'no_entries') : { object, items, parseError: null };
  }
  if (typeof json['field'] === 'string')
    return { object, items: [itemOf(object, { id: '0' }, json)], parseError: null };
  return unreadable(body, 'not_a_notification');
}

function readEntry(object: string | null, entry: unknown): WebhookItem[] {
  if (!isObject(entry)) return [itemOf(object, {}, { entry })];
  const items: WebhookItem[] = [];
  for (const change of arrayOf(entry['changes'])) items.push(itemOf(object, entry, change));
  for (const message of arrayOf(entry['messaging'])) items.push(itemOf(object, entry, message));
  for (const message of arrayOf(entry['standby'])) items.push(itemOf(object, entry, message, 'standby'));
  for (const field of arrayOf(entry['changed_fields']))
    items.push(itemOf(object, entry, { changed_field: field }));
  if (typeof entry['field'] === 'string')
    items.push(itemOf(object, entry, { field: entry['field'], value: entry['value'] }));
  return items.length > 0 ? items : [itemOf(object, entry, entry)];
}

function itemOf(object: string | null, entry: Json, raw: unknown, form?: 'standby'): WebhookItem {
  const item: Json = isObject(raw) ? raw : { value: raw };
  const entryId = shortText(entry['id']) ?? shortText(entry['uid']);
  const isTest = entryId === '0';
  const eventType = form ?? eventTypeOf(object, item);
  const payload = JSON.stringify(item);
  const isStorable = !NOT_FOR_JSONB.test(payload);
  return {
    object,
    entryId,
    eventType,
    // The Test button repeats constant ids: its events must neither be merged nor shadow real ones.
    dedupeKey: isTest
      ? `test:${randomUUID()}`
      : dedupeKey({ object, entryId, eventType, item, entryTime: entry['time'] }),
    payload: isStorable ? payload : null,
    occurredAt:
      instantOf(item['timestamp']) ??
      instantOf(valueOf(item)['timestamp']) ??
      instantOf(valueOf(item)['created_time']) ??
      instantOf(entry['time']),
    isTest,
    problem: isStorable ? null : 'unparseable',
    lane: laneOf(eventType, item),
  };
}

/** jsonb refuses NUL and unpaired surrogates; JSON.stringify writes both as escapes and nothing else so. */
const NOT_FOR_JSONB = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/i;

const MESSAGING_TYPES: readonly [string, string][] = [
  ['reaction', 'message_reactions'],
  ['read', 'messaging_seen'],
  ['postback', 'messaging_postbacks'],
  ['message_edit', 'message_edit'],
  ['optin', 'messaging_optins'],
  ['pass_thread_control', 'messaging_handover'],
  ['take_thread_control', 'messaging_handover'],
  ['request_thread_control', 'messaging_handover'],
  ['app_roles', 'messaging_handover'],
  ['policy_enforcement', 'messaging_policy_enforcement'],
  ['response_feedback', 'response_feedback'],
  ['delivery', 'message_deliveries'],
  ['referral', 'messaging_referral'],
];

function eventTypeOf(object: string | null, item: Json): string {
  // There the field is the name of a permission.
  if (object === 'permissions' && 'field' in item) return 'permissions';
  if (typeof item['field'] === 'string')
    return /^[a-z][a-z0-9_]{0,59}$/i.test(item['field']) ? item['field'] : 'unknown';
  if (isObject(item['message'])) return item['message']['is_echo'] === true ? 'message_echoes' : 'messages';
  if (typeof item['changed_field'] === 'string') return 'changed_fields';
  return MESSAGING_TYPES.find(([key]) => item[key] !== undefined)?.[1] ?? 'unknown';
}

function unreadable(body: Buffer, parseError: string): ReadDelivery {
  const item: WebhookItem = {
    object: null,
    entryId: null,
    eventType: 'unreadable',
    dedupeKey: `raw:${createHash('sha256').update(body).digest('hex')}`,
    payload: null,
    occurredAt: null,
    isTest: false,
    problem: parseError,
    lane: 'direct',
  };
  return { object: null, items: [item], parseError };
}

/** Counts brackets outside strings; the text need not be valid JSON. */
function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const character = text.charCodeAt(index);
    if (inString) {
      if (character === 0x5c) index++;
      else if (character === 0x22) inString = false;
    } else if (character === 0x22) inString = true;
    else if (character === 0x5b || character === 0x7b) {
      if (++depth > limit) return true;
    } else if (character === 0x5d || character === 0x7d) depth--;
  }
  return false;
}

function valueOf(item: Json): Json {
  return isObject(item['value']) ? item['value'] : {};
}

function arrayOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** An id or a name that may go into an indexed column. */
function shortText(value: unknown): string | null {
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && /^[\x20-\x7e]{1,100}$/.test(text) ? text : null;
}
