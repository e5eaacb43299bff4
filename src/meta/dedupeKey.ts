import { createHash } from 'node:crypto';
import { type Json, objectOf } from './values';

export interface KeyedItem {
  object: string | null;
  entryId: string | null;
  eventType: string;
  item: Json;
  entryTime: unknown;
}

/**
 * What makes two notifications the same event. Meta may batch a retry differently and repeat items, so the key is per
 * item: its natural id where it has one, else a hash of the item. Prefixed with the account, since two connected
 * accounts that talk to each other each keep their own copy.
 */
export function dedupeKey(event: KeyedItem): string {
  const natural = naturalKey(event);
  const prefix = `${event.object ?? '-'}:${event.entryId ?? '-'}:`;
  const key = `${prefix}${natural ?? `hash:${sha256(canonicalJson({ type: event.eventType, item: event.item }))}`}`;
  return /^[\x21-\x7e]{1,300}$/.test(key) ? key : `hash:${sha256(JSON.stringify(key))}`;
}

/** Null when a part that the key needs is missing. */
function naturalKey({ eventType, item, entryTime, entryId }: KeyedItem): string | null {
  const value = objectOf(item['value']);
  switch (eventType) {
    case 'comments':
    case 'live_comments':
      return join('comment', value['id'] ?? value['comment_id']);
    case 'mentions':
      return value['media_id'] === undefined
        ? null
        : join('mention', value['media_id'], value['comment_id'] ?? '-');
    case 'story_insights':
      // Later figures of the same story are news.
      return join('story', value['media_id'], entryTime);
    case 'feed':
      return feedKey(value);
    case 'leadgen':
      return join('lead', value['leadgen_id']);
    case 'permissions':
      return join('perm', entryId, item['field'], value['verb'], entryTime);
    case 'changed_fields':
      // Without values only the time tells the second change of a field from the first.
      return join('changed', item['changed_field'], entryTime);
    case 'standby':
      // The same item may come under `messaging` too, and knows more there: a postback has its payload.
      return prefixed('standby', messagingKey('field' in item ? value : item));
    default:
      return messagingKey('value' in item && 'field' in item ? value : item);
  }
}

/** Edits may all carry the time of the original: only their content tells them apart. */
function feedKey(value: Json): string | null {
  const { comment_id: commentId, post_id: postId, item, verb, created_time: createdAt } = value;
  if (verb === 'edit' || verb === 'edited') return null;
  const parts = [commentId ?? postId, item, verb, createdAt];
  // Many people may react to one post in the same second.
  const isReaction = item === 'reaction' || item === 'like';
  return join('feed', ...parts, ...(isReaction ? [objectOf(value['from'])['id']] : []));
}

function prefixed(prefix: string, key: string | null): string | null {
  return key === null ? null : `${prefix}:${key}`;
}

function messagingKey(item: Json): string | null {
  const sender = objectOf(item['sender'])['id'];
  const at = item['timestamp'];
  const message = objectOf(item['message']);
  if ('message' in item)
    return message['is_deleted'] === true ? join('msgdel', message['mid']) : join('msg', message['mid']);
  const edit = objectOf(item['message_edit']);
  if ('message_edit' in item) return join('msgedit', edit['mid'], edit['num_edit']);
  const reaction = objectOf(item['reaction']);
  if ('reaction' in item) return join('react', reaction['mid'], sender, reaction['action'], at);
  if ('read' in item) return join('seen', sender, objectOf(item['read'])['mid']);
  const postback = objectOf(item['postback']);
  if ('postback' in item)
    return postback['mid'] === undefined
      ? join('pb', sender, at, postback['payload'])
      : join('pb', postback['mid']);
  if ('referral' in item) return join('ref', sender, at, objectOf(item['referral'])['ref']);
  if ('optin' in item) return join('optin', sender, at, objectOf(item['optin'])['payload']);
  const handover = ['pass_thread_control', 'take_thread_control', 'request_thread_control', 'app_roles'].find(
    (kind) => kind in item,
  );
  return handover === undefined ? null : join('ho', sender, at, handover);
}

function join(...parts: unknown[]): string | null {
  const texts = parts.map((part) =>
    typeof part === 'string' || typeof part === 'number' ? String(part) : '',
  );
  return texts.every((text) => text !== '') ? texts.join(':') : null;
}

/** The same text for the same content, whatever the order of the keys. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
