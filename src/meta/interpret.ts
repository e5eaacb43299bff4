import { instantOf, isObject } from './webhookPayload';

/** What an event says, in the product's words; independent of the order in which events are read. */
export interface Interaction {
  kind: string;
  externalId: string;
  threadId: string | null;
  parentExternalId: string | null;
  direction: 'in' | 'out';
  authorId: string | null;
  authorUsername: string | null;
  body: string | null;
  attachments: object[];
  details: object;
  /** 0 is the original; the highest number known is what people read. */
  editNumber: number;
  isDeletion: boolean;
}

/** Kinds of which only the newest counts; the others are things with a life: created, edited, deleted. */
export const STATE_KINDS: readonly string[] = ['reaction', 'seen', 'story_insights'];

export interface InterpretedEvent {
  eventType: string;
  payload: unknown;
  /** The connected account's own Instagram id: what it says itself is outgoing. */
  igUserId: string;
}

type Json = Record<string, unknown>;

const NOTHING: Omit<Interaction, 'kind' | 'externalId'> = {
  threadId: null,
  parentExternalId: null,
  direction: 'in',
  authorId: null,
  authorUsername: null,
  body: null,
  attachments: [],
  details: {},
  editNumber: 0,
  isDeletion: false,
};

/** Null when the event is understood to say nothing, or is of a kind that is kept and shown raw. */
export function interpret(event: InterpretedEvent): Interaction | null {
  if (!isObject(event.payload)) return null;
  const value = isObject(event.payload['value']) ? event.payload['value'] : null;
  switch (event.eventType) {
    case 'comments':
    case 'live_comments':
      return value && comment(event, value);
    case 'mentions':
      return value && mention(value);
    case 'story_insights':
      return value && storyInsights(value);
    default:
      return messagingItem(event, value !== null && 'field' in event.payload ? value : event.payload);
  }
}

function comment({ eventType, igUserId }: InterpretedEvent, value: Json): Interaction | null {
  const id = text(value['id']) ?? text(value['comment_id']);
  if (id === null) return null;
  const from = objectOf(value['from']);
  const media = objectOf(value['media']);
  const authorId = text(from['id']);
  return {
    ...NOTHING,
    kind: 'comment',
    externalId: id,
    threadId: text(media['id']),
    parentExternalId: text(value['parent_id']),
    direction: authorId === igUserId || from['self_ig_scoped_id'] !== undefined ? 'out' : 'in',
    authorId,
    authorUsername: text(from['username']),
    body: text(value['text']),
    details: {
      live: eventType === 'live_comments',
      mediaProductType: text(media['media_product_type']),
      adId: text(media['ad_id']),
    },
  };
}

function mention(value: Json): Interaction | null {
  const mediaId = text(value['media_id']);
  if (mediaId === null) return null;
  const commentId = text(value['comment_id']);
  return {
    ...NOTHING,
    kind: 'mention',
    externalId: `${mediaId}:${commentId ?? '-'}`,
    threadId: mediaId,
    parentExternalId: commentId,
  };
}

function storyInsights(value: Json): Interaction | null {
  const mediaId = text(value['media_id']);
  if (mediaId === null) return null;
  const { media_id: _id, ...figures } = value;
  return {
    ...NOTHING,
    kind: 'story_insights',
    externalId: mediaId,
    threadId: mediaId,
    details: figures,
  };
}

/** The customer's side of a conversation is its thread, whoever wrote. */
function messagingItem({ igUserId }: InterpretedEvent, item: Json): Interaction | null {
  const sender = text(objectOf(item['sender'])['id']);
  const recipient = text(objectOf(item['recipient'])['id']);
  const isOut = sender === igUserId || objectOf(item['message'])['is_echo'] === true;
  const base = {
    ...NOTHING,
    threadId: isOut ? recipient : sender,
    direction: isOut ? ('out' as const) : ('in' as const),
    authorId: sender,
  };
  if (isObject(item['message'])) return message(base, item['message']);
  if (isObject(item['message_edit'])) {
    const edit = item['message_edit'];
    const id = text(edit['mid']);
    if (id === null) return null;
    const editNumber = Math.max(1, wholeNumber(edit['num_edit']));
    return { ...base, kind: 'message', externalId: id, body: text(edit['text']), editNumber };
  }
  if (isObject(item['reaction'])) {
    const reaction = item['reaction'];
    const id = text(reaction['mid']);
    if (id === null || sender === null) return null;
    const isDeletion = reaction['action'] === 'unreact';
    const details = { reaction: text(reaction['reaction']) };
    const body = text(reaction['emoji']) ?? text(reaction['reaction']);
    return {
      ...base,
      kind: 'reaction',
      externalId: `${id}:${sender}`,
      parentExternalId: id,
      body,
      details,
      isDeletion,
    };
  }
  if (isObject(item['read']) && sender !== null) {
    return {
      ...base,
      kind: 'seen',
      externalId: sender,
      parentExternalId: text(item['read']['mid']),
    };
  }
  return signal(base, item);
}

function message(base: Omit<Interaction, 'kind' | 'externalId'>, message: Json): Interaction | null {
  const id = text(message['mid']);
  if (id === null) return null;
  const replyTo = objectOf(message['reply_to']);
  const attachments = Array.isArray(message['attachments'])
    ? message['attachments'].filter(isObject).slice(0, 50)
    : [];
  return {
    ...base,
    kind: 'message',
    externalId: id,
    parentExternalId: text(replyTo['mid']),
    body: text(message['text']),
    attachments,
    details: {
      ...(message['is_unsupported'] === true ? { unsupported: true } : {}),
      ...(isObject(message['quick_reply']) ? { quickReply: text(message['quick_reply']['payload']) } : {}),
      ...(isObject(replyTo['story']) ? { replyToStory: text(replyTo['story']['id']) } : {}),
      ...(isObject(message['referral']) ? { referral: message['referral'] } : {}),
    },
    isDeletion: message['is_deleted'] === true,
  };
}

/** Button taps, ad clicks, opt-ins and changes of who owns the conversation. */
function signal(base: Omit<Interaction, 'kind' | 'externalId'>, item: Json): Interaction | null {
  const at = instantOf(item['timestamp'])?.getTime() ?? 0;
  const fallbackId = `${base.authorId ?? '-'}:${at}`;
  if (isObject(item['postback'])) {
    const postback = item['postback'];
    const details = {
      payload: text(postback['payload']),
      ...(isObject(postback['referral']) ? { referral: postback['referral'] } : {}),
    };
    return {
      ...base,
      kind: 'postback',
      externalId: text(postback['mid']) ?? fallbackId,
      body: text(postback['title']),
      details,
    };
  }
  for (const kind of [
    'referral',
    'optin',
    'pass_thread_control',
    'take_thread_control',
    'request_thread_control',
  ] as const) {
    const found = item[kind];
    if (!isObject(found)) continue;
    const isHandover = kind.endsWith('thread_control');
    const body = text(found['ref']) ?? text(found['title']);
    return {
      ...base,
      kind: isHandover ? 'handover' : kind,
      externalId: `${fallbackId}:${kind}`,
      body,
      details: { ...found, kind },
    };
  }
  return null;
}

function objectOf(value: unknown): Json {
  return isObject(value) ? value : {};
}

function text(value: unknown): string | null {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : null;
}

function wholeNumber(value: unknown): number {
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 && number < 1_000_000 ? number : 0;
}
