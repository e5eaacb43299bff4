import { type Interaction, NOTHING } from './interaction';
import { readAttachments } from './attachments';
import { instantOf, isObject, type Json, objectOf, present, text, wholeNumber } from './values';

interface Setting {
  /** What this account says itself is outgoing. */
  ownId: string;
  /** Another app owned the thread: nobody is to answer by machine. */
  isStandby: boolean;
  /** A Page's item: Messenger, not Instagram. */
  isPage: boolean;
}

type Base = Omit<Interaction, 'kind' | 'externalId'>;

/** One item of `messaging` or `standby`. The customer's side of a conversation is its thread, whoever wrote. */
export function messagingItem(item: Json, { ownId, isStandby, isPage }: Setting): Interaction | null {
  const sender = text(objectOf(item['sender'])['id']);
  const recipient = text(objectOf(item['recipient'])['id']);
  const isOut = (sender !== null && sender === ownId) || objectOf(item['message'])['is_echo'] === true;
  const base: Base = {
    ...NOTHING,
    threadId: isOut ? recipient : sender,
    direction: isOut ? 'out' : 'in',
    authorId: sender,
  };
  const found = contentOf(base, item);
  return (
    found && {
      ...found,
      details: {
        ...found.details,
        ...present({ standby: isStandby, channel: isPage ? 'messenger' : null }),
      },
    }
  );
}

function contentOf(base: Base, item: Json): Interaction | null {
  if (isObject(item['message'])) return message(base, item['message']);
  if (isObject(item['message_edit'])) return edit(base, item['message_edit']);
  if (isObject(item['reaction'])) return reaction(base, item['reaction']);
  if (isObject(item['read'])) return readMark(base, item['read']);
  if (isObject(item['postback'])) return postback(base, item, item['postback']);
  if (isObject(item['referral'])) return referral(base, item, item['referral']);
  if (isObject(item['optin'])) return optin(base, item, item['optin']);
  if (isObject(item['policy_enforcement'])) return policy(base, item, item['policy_enforcement']);
  return handover(base, item);
}

function message(base: Base, message: Json): Interaction | null {
  const id = text(message['mid']);
  if (id === null) return null;
  const replyTo = objectOf(message['reply_to']);
  return {
    ...base,
    kind: 'message',
    externalId: id,
    parentExternalId: text(replyTo['mid']),
    body: text(message['text']),
    attachments: readAttachments(message['attachments']),
    details: present({
      unsupported: message['is_unsupported'] === true,
      self: message['is_self'] === true,
      quickReply: text(objectOf(message['quick_reply'])['payload']),
      // Its address is left out: the media of a story must not outlive it.
      replyToStory: text(objectOf(replyTo['story'])['id']),
      replyToSelf: replyTo['is_self_reply'] === true,
      appId: text(message['app_id']),
      referral: referralFacts(objectOf(message['referral'])),
    }),
    isDeletion: message['is_deleted'] === true,
  };
}

function edit(base: Base, edit: Json): Interaction | null {
  const id = text(edit['mid']);
  if (id === null) return null;
  const editNumber = Math.max(1, wholeNumber(edit['num_edit']));
  return { ...base, kind: 'message', externalId: id, body: text(edit['text']), editNumber };
}

function reaction(base: Base, reaction: Json): Interaction | null {
  const id = text(reaction['mid']);
  if (id === null || base.authorId === null) return null;
  return {
    ...base,
    kind: 'reaction',
    externalId: `${id}:${base.authorId}`,
    parentExternalId: id,
    body: text(reaction['emoji']) ?? text(reaction['reaction']),
    details: present({ reaction: text(reaction['reaction']) }),
    isDeletion: reaction['action'] === 'unreact',
  };
}

/** Everything up to that message counts as read. */
function readMark(base: Base, read: Json): Interaction | null {
  if (base.authorId === null) return null;
  return {
    ...base,
    kind: 'seen',
    externalId: base.authorId,
    parentExternalId: text(read['mid']),
    details: present({ watermark: instantOf(read['watermark'])?.toISOString() }),
  };
}

function postback(base: Base, item: Json, postback: Json): Interaction | null {
  const externalId = text(postback['mid']) ?? momentOf(base, item);
  if (externalId === null) return null;
  return {
    ...base,
    kind: 'postback',
    externalId,
    body: text(postback['title']),
    details: present({
      payload: text(postback['payload']),
      self: postback['is_self'] === true || item['is_self'] === true,
      referral: referralFacts(objectOf(postback['referral'])),
    }),
  };
}

function referral(base: Base, item: Json, referral: Json): Interaction | null {
  return signal(base, item, 'referral', 'referral', text(referral['ref']), referralFacts(referral));
}

/** Without the token that lets an app write to the person: it is for the sender of notifications alone. */
function optin(base: Base, item: Json, optin: Json): Interaction | null {
  const details = present({
    type: text(optin['type']),
    ref: text(optin['ref']),
    payload: text(optin['payload']),
    timezone: text(optin['notification_messages_timezone']),
    status: text(optin['notification_messages_status']) ?? text(optin['user_token_status']),
    endsAt: instantOf(optin['token_expiry_timestamp'])?.toISOString(),
  });
  return signal(base, item, 'optin', 'optin', text(optin['title']), details);
}

function policy(base: Base, item: Json, policy: Json): Interaction | null {
  const details = present({ action: text(policy['action']) });
  return signal(base, item, 'policy', 'policy_enforcement', text(policy['reason']), details);
}

const HANDOVERS = [
  'pass_thread_control',
  'take_thread_control',
  'request_thread_control',
  'app_roles',
] as const;

/** Which app answers in a thread from now on. */
function handover(base: Base, item: Json): Interaction | null {
  const change = HANDOVERS.find((kind) => isObject(item[kind]));
  if (change === undefined) return null;
  const control = objectOf(item[change]);
  const details = present({
    change,
    previousOwner: text(control['previous_owner_app_id']),
    newOwner: text(control['new_owner_app_id']),
    requestedOwner: text(control['requested_owner_app_id']),
    roles: change === 'app_roles' ? control : null,
  });
  return signal(base, item, 'handover', change, text(control['metadata']), details);
}

/** Something without an id of its own: who and when make it. */
function signal(
  base: Base,
  item: Json,
  kind: string,
  key: string,
  body: string | null,
  details: Json,
): Interaction | null {
  const moment = momentOf(base, item);
  return moment === null ? null : { ...base, kind, externalId: `${moment}:${key}`, body, details };
}

function momentOf(base: Base, item: Json): string | null {
  const at = instantOf(item['timestamp']);
  return at && `${base.authorId ?? '-'}:${at.getTime()}`;
}

/** Where the person came from. Pictures are left out: their addresses expire. */
function referralFacts(referral: Json): Json {
  const context = objectOf(referral['ads_context_data']);
  return present({
    ref: text(referral['ref']),
    source: text(referral['source']),
    type: text(referral['type']),
    adId: text(referral['ad_id']),
    adTitle: text(context['ad_title']),
    postId: text(context['post_id']),
    productId: text(objectOf(referral['product'])['id']) ?? text(context['product_id']),
  });
}
