import { type Request, type Response, type Router } from 'express';
import { z } from 'zod';

import * as customers from '../customers';
import { type Delivery } from '../state';
import { subscribeApp } from '../subscribeApp';
import { type SendOptions } from '../webhooks/options';
import { sendWebhook } from '../webhooks/send';
import { findCustomer, findIgAccount, type World } from '../world';
import { type ControlActions } from './api';
import { accountCard, conversation, deliveryRow, recentComments } from './uiModel';

export const ACTIONS = [
  { name: 'comment', title: 'Comment' },
  { name: 'reply', title: 'Reply' },
  { name: 'mention', title: 'Mention' },
  { name: 'message', title: 'Message' },
  { name: 'story-mention', title: 'Story' },
  { name: 'reaction', title: 'Reaction' },
  { name: 'edit', title: 'Edit' },
  { name: 'unsend', title: 'Unsend' },
  { name: 'many', title: 'Many' },
];

/** The webhook field that tells of an action; messages' where it is not named. */
const FIELDS: Readonly<Record<string, string>> = {
  comment: 'comments',
  reply: 'comments',
  mention: 'mentions',
};

type Form = Record<string, string | undefined>;

/** The page on which one plays a customer. */
export function playPages(router: Router, world: World, actions: ControlActions): void {
  router.get('/', (req, res) => {
    showPlay(world, res, stringsOf(req.query));
  });

  router.post('/act', async (req, res) => {
    const form = stringsOf(req.body as Request['query'] | undefined);
    try {
      const deliveries = act(world, form);
      await Promise.race([actions.settle(), timeout(2000)]);
      res.redirect(303, playUrl(form, deliveries));
    } catch (error) {
      showPlay(world, res.status(422), form, problemOf(error));
    }
  });

  router.post('/subscribe-app', async (req, res) => {
    const form = stringsOf(req.body as Request['query'] | undefined);
    try {
      await subscribeApp(world);
      res.redirect(303, playUrl(form, []));
    } catch (error) {
      showPlay(world, res.status(422), form, problemOf(error));
    }
  });
}

function showPlay(world: World, res: Response, given: Form, problem: string | null = null): void {
  const { state } = world;
  const account = findIgAccount(state, given['account'] ?? '') ?? state.igAccounts[0];
  const customer = findCustomer(state, given['customer'] ?? '') ?? state.customers[0];
  if (account === undefined || customer === undefined) throw new Error('The sandbox has no account');
  const doing = ACTIONS.find(({ name }) => name === given['do'])?.name ?? 'comment';
  const doneIds = given['done']?.split(',') ?? [];
  const recent = state.outbox
    .filter(({ accountIds }) => accountIds.includes(account.id))
    .slice(-8)
    .toReversed();
  const talk = conversation(world, account, customer);
  res.render('play', {
    accounts: state.igAccounts.map((known) => accountCard(world, known)),
    account: accountCard(world, account, FIELDS[doing] ?? 'messages'),
    customers: state.customers,
    customer,
    actions: ACTIONS,
    doing,
    media: state.media.filter(({ igAccountId }) => igAccountId === account.id),
    comments: recentComments(world, account),
    talk,
    ownMessages: talk.filter(({ fromCustomer, text }) => fromCustomer && text !== null),
    done: state.outbox.filter(({ id }) => doneIds.includes(id)).map((each) => deliveryRow(world, each)),
    recent: recent.map((delivery) => deliveryRow(world, delivery)),
    isAppSubscribed: state.subscriptions.some(({ object, active }) => object === 'instagram' && active),
    form: given,
    problem,
    urlOf: (changes: Form) =>
      playUrl({ account: account.id, customer: customer.id, do: doing, ...changes }, []),
  });
}

function act(world: World, form: Form): Delivery[] {
  const shared = { account: form['account'], customer: form['customer'], options: optionsOf(form) };
  const text = form['text'] ?? '';
  const mid = form['mid'] ?? '';
  switch (form['do']) {
    case 'comment':
      return customers.customerComments(world, {
        ...shared,
        ...{ text, media: form['media'], withoutAuthor: form['anonymous'] !== undefined },
      }).deliveries;
    case 'mention': {
      const place = form['place'] === 'caption' ? 'caption' : 'comment';
      return customers.customerMentions(world, { ...shared, text, place }).deliveries;
    }
    case 'reply':
      return customers.customerComments(world, { ...shared, text, parent: form['parent'] }).deliveries;
    case 'message':
      return customers.customerMessages(world, { ...shared, text }).deliveries;
    case 'story-mention':
      return customers.customerMentionsInStory(world, shared).deliveries;
    case 'reaction': {
      const reaction = form['reaction'] === 'none' ? null : (form['reaction'] ?? 'love');
      const checked = customers.ReactionSchema.shape.reaction.parse(reaction);
      return customers.customerReacts(world, { ...shared, mid, reaction: checked }).deliveries;
    }
    case 'edit':
      return customers.customerEdits(world, { ...shared, mid, text }).deliveries;
    case 'unsend':
      return customers.customerUnsends(world, { ...shared, mid }).deliveries;
    case 'many':
      return sendMany(world, form);
    default:
      throw new Error('Unknown action');
  }
}

const ManySchema = z.object({
  template: z.enum(['comment', 'message', 'reaction']),
  count: z.coerce.number().int().min(1).max(5000),
  batch: z.coerce.number().int().min(1).max(1000),
});

function sendMany(world: World, form: Form): Delivery[] {
  const { template, count, batch } = ManySchema.parse(form);
  const { account, customer } = form;
  return sendWebhook(world, { template, count, account, customer, options: { ...optionsOf(form), batch } });
}

function optionsOf(form: Form): SendOptions {
  return {
    ...(form['twice'] === undefined ? {} : { duplicate: 1 }),
    ...(form['hold'] === undefined ? {} : { hold: true }),
    ...(form['standby'] === undefined ? {} : { standby: true }),
    ...(form['signature'] === 'wrong' ? { signature: 'wrong' as const } : {}),
    ...(form['signature'] === 'missing' ? { signature: 'missing' as const } : {}),
  };
}

function playUrl(form: Form, deliveries: Delivery[]): string {
  const query = new URLSearchParams();
  for (const name of ['account', 'customer', 'do']) {
    if (form[name] !== undefined) query.set(name, form[name]);
  }
  if (deliveries.length > 0)
    query.set(
      'done',
      deliveries
        .slice(0, 3)
        .map(({ id }) => id)
        .join(','),
    );
  return `/_sandbox/ui?${query.toString()}`;
}

function problemOf(error: unknown): string {
  if (error instanceof z.ZodError) return error.issues[0]?.message ?? 'Invalid input';
  return error instanceof Error ? error.message : String(error);
}

function stringsOf(values: Request['query'] | undefined): Form {
  const entries = Object.entries(values ?? {});
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function timeout(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
