import { newMid, newNumericId } from '../ids';
import { newMention } from '../mentions';
import { type Comment, type Customer, type IgAccount, type Media, type Mention } from '../state';
import { type World } from '../world';

/** One event before it is put into an envelope. */
export interface WebhookItem {
  object: string;
  /** `entry.id`: an Instagram account, a Page or a person. */
  entryId: string;
  field: string;
  /** Where it goes in the entry. */
  slot: 'changes' | 'messaging' | 'standby';
  /** `value` of a change, or the whole item of `messaging`. */
  value: Record<string, unknown>;
  /** Milliseconds; what `entry.time` is made of. */
  at: number;
}

export function commentItem(
  comment: Pick<Comment, 'id' | 'parentId' | 'text' | 'createdAt'>,
  account: IgAccount,
  author: Customer | null,
  media: Media,
  field = 'comments',
): WebhookItem {
  const from =
    author === null
      ? { id: account.id, username: account.username, self_ig_scoped_id: newNumericId('12', 16) }
      : { id: author.igsids[account.id], username: author.username };
  return {
    object: 'instagram',
    entryId: account.id,
    field,
    slot: 'changes',
    at: comment.createdAt,
    value: {
      id: comment.id,
      from,
      media: { id: media.id, media_product_type: media.productType },
      ...(comment.parentId === null ? {} : { parent_id: comment.parentId }),
      text: comment.text,
    },
  };
}

/** Seen with the flat form of Instagram Login (meta-platform §4.2). */
export function withoutAuthor(item: WebhookItem): WebhookItem {
  const { from: _from, ...value } = item.value;
  return { ...item, value };
}

export function mentionItem({ igAccountId, mediaId, commentId, createdAt }: Mention): WebhookItem {
  return {
    object: 'instagram',
    entryId: igAccountId,
    field: 'mentions',
    slot: 'changes',
    at: createdAt,
    value: { media_id: mediaId, ...(commentId === null ? {} : { comment_id: commentId }) },
  };
}

/** @param content what makes the item: `{ message: {…} }`, `{ reaction: {…} }`, … (meta-platform §4.4, §4.5) */
export function messagingItem(
  world: World,
  account: IgAccount,
  customer: Customer,
  field: string,
  content: Record<string, unknown>,
): WebhookItem {
  return {
    object: 'instagram',
    entryId: account.id,
    field,
    slot: 'messaging',
    at: world.now(),
    value: {
      sender: { id: customer.igsids[account.id] },
      recipient: { id: account.id },
      timestamp: world.now(),
      ...content,
    },
  };
}

export function permissionItem(
  world: World,
  personId: string,
  permission: string,
  verb: 'granted' | 'revoked',
  targetIds: string[] | null,
): WebhookItem {
  return {
    object: 'permissions',
    entryId: personId,
    field: permission,
    slot: 'changes',
    at: world.now(),
    value: { verb, target_ids: targetIds },
  };
}

/** Events nobody stored: what `POST /_sandbox/webhooks {"template":…}` makes for load and for odd shapes. */
export const templateItems: Record<
  string,
  (world: World, account: IgAccount, customer: Customer, text: string) => WebhookItem
> = {
  comment: (world, account, customer, text) =>
    commentItem(newComment(world, text), account, customer, someMedia(world, account)),
  live_comment: (world, account, customer, text) =>
    commentItem(newComment(world, text), account, customer, someMedia(world, account), 'live_comments'),
  own_comment: (world, account, _customer, text) =>
    commentItem(newComment(world, text), account, null, someMedia(world, account)),
  mention: (world, account, customer, text) =>
    mentionItem(newMention(world, account, customer, 'comment', text)),
  caption_mention: (world, account, customer, text) =>
    mentionItem(newMention(world, account, customer, 'caption', text)),
  story_insights: (world, account) => ({
    ...commentItem(newComment(world, ''), account, null, someMedia(world, account), 'story_insights'),
    value: {
      media_id: someMedia(world, account).id,
      ...{ impressions: 60, reach: 44, taps_forward: 9, taps_back: -1, exits: 5, replies: 0 },
    },
  }),
  message: (world, account, customer, text) =>
    messagingItem(world, account, customer, 'messages', { message: { mid: newMid(), text } }),
  unsupported_message: (world, account, customer) =>
    messagingItem(world, account, customer, 'messages', { message: { mid: newMid(), is_unsupported: true } }),
  reaction: (world, account, customer) =>
    messagingItem(world, account, customer, 'message_reactions', {
      reaction: { mid: newMid(), action: 'react', reaction: 'love', emoji: '❤️' },
    }),
  seen: (world, account, customer) =>
    messagingItem(world, account, customer, 'messaging_seen', { read: { mid: newMid() } }),
  postback: (world, account, customer, text) =>
    messagingItem(world, account, customer, 'messaging_postbacks', {
      postback: { mid: newMid(), title: text, payload: 'DEMO' },
    }),
  referral: (world, account, customer) =>
    messagingItem(world, account, customer, 'messaging_referral', {
      referral: { ref: 'flyer-7', source: 'SHORTLINK', type: 'OPEN_THREAD' },
    }),
};

function newComment(world: World, text: string) {
  return { id: newNumericId('18055', 17), parentId: null, text, createdAt: world.now() };
}

function someMedia(world: World, account: IgAccount): Media {
  const own = world.state.media.find(({ igAccountId }) => igAccountId === account.id);
  if (own === undefined) throw new Error(`@${account.username} has no media`);
  return own;
}
