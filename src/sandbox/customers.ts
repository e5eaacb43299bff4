import { z } from 'zod';

import { newMid, newNumericId } from './ids';
import {
  type Comment,
  type Customer,
  type Delivery,
  type IgAccount,
  type Media,
  type Mention,
  type Message,
} from './state';
import { newMention } from './mentions';
import { commentItem, mentionItem, messagingItem, withoutAuthor } from './webhooks/items';
import { SendOptionsSchema, type SendOptions } from './webhooks/options';
import { sendItems } from './webhooks/send';
import { findCustomer, findIgAccount, type World } from './world';

const ActionSchema = z.strictObject({
  /** Id or user name; without it the first of the seed. */
  account: z.string().optional(),
  customer: z.string().optional(),
  options: SendOptionsSchema.optional(),
});
const TextSchema = z.string().trim().min(1, 'Write something first.').max(8000);

export const CommentSchema = ActionSchema.extend({
  text: TextSchema,
  media: z.string().optional(),
  /** The comment this one answers. */
  parent: z.string().optional(),
  /** Meta leaves its author out of the webhook. */
  withoutAuthor: z.boolean().optional(),
});
export const MentionSchema = ActionSchema.extend({
  text: TextSchema,
  place: z.enum(['comment', 'caption']),
});
export const MessageSchema = ActionSchema.extend({
  text: TextSchema.optional(),
  attachment: z.strictObject({ type: z.string(), url: z.string() }).optional(),
  /** The message or the story this one answers. */
  replyTo: z.union([z.strictObject({ mid: z.string() }), z.strictObject({ story: z.string() })]).optional(),
});
export const StoryMentionSchema = ActionSchema;
export const ReactionSchema = ActionSchema.extend({
  mid: z.string(),
  reaction: z.enum(['love', 'angry', 'sad', 'wow', 'like', 'laugh', 'other']).nullable(),
});
export const EditSchema = ActionSchema.extend({ mid: z.string(), text: TextSchema });
export const UnsendSchema = ActionSchema.extend({ mid: z.string() });
export const SeenSchema = ActionSchema;
export const PostbackSchema = ActionSchema.extend({ title: TextSchema, payload: z.string() });

export interface CommentResult {
  comment: Comment;
  deliveries: Delivery[];
}

export interface MentionResult {
  mention: Mention;
  deliveries: Delivery[];
}

export interface MessageResult {
  message: Message;
  deliveries: Delivery[];
}

export function customerComments(world: World, input: z.input<typeof CommentSchema>): CommentResult {
  const given = CommentSchema.parse(input);
  const { account, customer } = involved(world, given);
  const parent = world.state.comments.find(({ id }) => id === given.parent);
  const media = mediaOf(world, account, parent?.mediaId ?? given.media);
  const comment: Comment = {
    id: newNumericId('18055', 17),
    igAccountId: account.id,
    mediaId: media.id,
    // Instagram attaches a reply to a reply to the comment at the top.
    parentId: parent === undefined ? null : (parent.parentId ?? parent.id),
    customerId: customer.id,
    text: given.text,
    createdAt: world.now(),
    hidden: false,
    deleted: false,
    likes: 0,
  };
  world.state.comments.push(comment);
  const told = commentItem(comment, account, customer, media);
  const item = given.withoutAuthor === true ? withoutAuthor(told) : told;
  const kind = parent === undefined ? 'Comment' : 'Reply';
  return { comment, deliveries: sendItems(world, [item], summary(kind, customer, account), given.options) };
}

/** The customer names the account on somebody else's post. */
export function customerMentions(world: World, input: z.input<typeof MentionSchema>): MentionResult {
  const given = MentionSchema.parse(input);
  const { account, customer } = involved(world, given);
  const mention = newMention(world, account, customer, given.place, given.text);
  const item = mentionItem(mention);
  return {
    mention,
    deliveries: sendItems(world, [item], summary('Mention', customer, account), given.options),
  };
}

export function customerMessages(world: World, input: z.input<typeof MessageSchema>): MessageResult {
  const given = MessageSchema.parse(input);
  const { account, customer } = involved(world, given);
  return message(world, account, customer, given, given.attachment === undefined ? 'Message' : 'Attachment');
}

export function customerMentionsInStory(
  world: World,
  input: z.input<typeof StoryMentionSchema>,
): MessageResult {
  const given = StoryMentionSchema.parse(input);
  const { account, customer } = involved(world, given);
  const url = `${world.url}/cdn/story-${newNumericId('9', 8)}.jpg`;
  const content = { attachment: { type: 'story_mention', url }, options: given.options };
  return message(world, account, customer, content, 'Story mention');
}

export function customerReacts(world: World, input: z.input<typeof ReactionSchema>): MessageResult {
  const given = ReactionSchema.parse(input);
  const { target, account, customer } = aboutMessage(world, given);
  target.reaction = given.reaction;
  const reaction =
    given.reaction === null
      ? { mid: target.mid, action: 'unreact' }
      : { mid: target.mid, action: 'react', reaction: given.reaction, emoji: EMOJI[given.reaction] };
  const item = messagingItem(world, account, customer, 'message_reactions', { reaction });
  return {
    message: target,
    deliveries: sendItems(world, [item], summary('Reaction', customer, account), given.options),
  };
}

export function customerEdits(world: World, input: z.input<typeof EditSchema>): MessageResult {
  const given = EditSchema.parse(input);
  const { target, account, customer } = aboutMessage(world, given);
  target.text = given.text;
  target.edits += 1;
  const edit = { mid: target.mid, text: given.text, num_edit: target.edits };
  const item = messagingItem(world, account, customer, 'message_edit', { message_edit: edit });
  return {
    message: target,
    deliveries: sendItems(world, [item], summary('Edit', customer, account), given.options),
  };
}

export function customerUnsends(world: World, input: z.input<typeof UnsendSchema>): MessageResult {
  const given = UnsendSchema.parse(input);
  const { target, account, customer } = aboutMessage(world, given);
  target.deleted = true;
  const content = { message: { mid: target.mid, is_deleted: true } };
  const item = messagingItem(world, account, customer, 'messages', content);
  return {
    message: target,
    deliveries: sendItems(world, [item], summary('Unsent message', customer, account), given.options),
  };
}

/** The customer opens the conversation: everything in it counts as read. */
export function customerSees(world: World, input: z.input<typeof SeenSchema>): Delivery[] {
  const given = SeenSchema.parse(input);
  const { account, customer } = involved(world, given);
  const last = world.state.messages.findLast(
    ({ igAccountId, customerId }) => igAccountId === account.id && customerId === customer.id,
  );
  const item = messagingItem(world, account, customer, 'messaging_seen', {
    read: { mid: last?.mid ?? newMid() },
  });
  return sendItems(world, [item], summary('Seen', customer, account), given.options);
}

export function customerTapsButton(world: World, input: z.input<typeof PostbackSchema>): Delivery[] {
  const given = PostbackSchema.parse(input);
  const { account, customer } = involved(world, given);
  const postback = { mid: newMid(), title: given.title, payload: given.payload };
  const item = messagingItem(world, account, customer, 'messaging_postbacks', { postback });
  return sendItems(world, [item], summary('Postback', customer, account), given.options);
}

const EMOJI = { love: '❤️', angry: '😠', sad: '😢', wow: '😮', like: '👍', laugh: '😆', other: '✨' };

function message(
  world: World,
  account: IgAccount,
  customer: Customer,
  content: Pick<z.output<typeof MessageSchema>, 'text' | 'attachment' | 'replyTo' | 'options'>,
  kind: string,
): MessageResult {
  const { text, attachment, replyTo } = content;
  const stored: Message = {
    mid: newMid(),
    igAccountId: account.id,
    customerId: customer.id,
    fromCustomer: content.options?.echo !== true,
    text: text ?? null,
    attachment: attachment ?? null,
    createdAt: world.now(),
    edits: 0,
    deleted: false,
    reaction: null,
  };
  world.state.messages.push(stored);
  const item = messagingItem(world, account, customer, 'messages', {
    message: {
      mid: stored.mid,
      ...(text === undefined ? {} : { text }),
      ...(attachment === undefined
        ? {}
        : { attachments: [{ type: attachment.type, payload: { url: attachment.url } }] }),
      ...(replyTo === undefined ? {} : { reply_to: replyReference(world, replyTo) }),
    },
  });
  const deliveries = sendItems(world, [item], summary(kind, customer, account), content.options);
  return { message: stored, deliveries };
}

function replyReference(world: World, replyTo: { mid: string } | { story: string }): object {
  if ('mid' in replyTo) return replyTo;
  return { story: { id: replyTo.story, url: `${world.url}/cdn/${replyTo.story}.jpg` } };
}

function involved(world: World, given: { account?: string | undefined; customer?: string | undefined }) {
  const accountName = given.account ?? world.state.igAccounts[0]?.id ?? '';
  const customerName = given.customer ?? world.state.customers[0]?.id ?? '';
  const account = findIgAccount(world.state, accountName);
  const customer = findCustomer(world.state, customerName);
  if (account === undefined) throw new Error(`Unknown account: ${accountName}`);
  if (customer === undefined) throw new Error(`Unknown customer: ${customerName}`);
  return { account, customer };
}

function aboutMessage(world: World, given: { mid: string; options?: SendOptions | undefined }) {
  const target = world.state.messages.find(({ mid }) => mid === given.mid);
  if (target === undefined) throw new Error('Unknown message');
  return { target, ...involved(world, { account: target.igAccountId, customer: target.customerId }) };
}

function mediaOf(world: World, account: IgAccount, id: string | undefined): Media {
  const own = world.state.media.filter(({ igAccountId }) => igAccountId === account.id);
  const media = id === undefined ? own[0] : own.find((known) => known.id === id);
  if (media === undefined) throw new Error(`@${account.username} has no such media`);
  return media;
}

function summary(kind: string, customer: Customer, account: IgAccount): string {
  return `${kind} by ${customer.username} to @${account.username}`;
}
