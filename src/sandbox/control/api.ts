import express, { Router, type NextFunction, type Request, type Response } from 'express';
import { z } from 'zod';

import { advanceClock, parseDuration, resetClock } from '../clock';
import * as customers from '../customers';
import { addFault, removeFaults, type FaultInput } from '../faults/faults';
import * as people from '../peopleActions';
import { type Delivery } from '../state';
import { subscribeApp } from '../subscribeApp';
import { WebhookRequestSchema } from '../webhooks/options';
import { sendWebhook } from '../webhooks/send';
import { type World } from '../world';
import { maskedState } from './masked';

export interface ControlActions {
  reset: () => void;
  writeSnapshot: () => void;
  settle: () => Promise<void>;
}

const SettingsSchema = z.strictObject({
  appCallsPerHour: z.int().min(1).optional(),
  accountCallsPerDay: z.int().min(1).optional(),
  usageHeaderFromPercent: z.int().min(0).optional(),
  webhookDeadlineMs: z.int().min(1).optional(),
  retryProfile: z.enum(['graph', 'messenger']).optional(),
  challenge: z.enum(['integer', 'huge', 'html']).optional(),
});

/** `/_sandbox/…`: JSON for scripts and tests. */
export function controlApi(world: World, actions: ControlActions): Router {
  const router = Router();
  router.use(express.json({ limit: '20mb' }));

  router.get('/health', (_req, res) => {
    res.json({ status: 'ok', time: new Date(world.now()).toISOString() });
  });
  router.get('/state', (_req, res) => {
    res.json(maskedState(world.state));
  });
  router.get('/journal', (_req, res) => {
    res.json({ calls: world.journal.entries() });
  });
  router.post('/reset', (_req, res) => {
    actions.reset();
    res.json({ success: true });
  });
  router.post('/snapshot', (_req, res) => {
    actions.writeSnapshot();
    res.json({ success: true });
  });
  router.post('/settings', (req, res) => {
    Object.assign(world.state.settings, SettingsSchema.parse(req.body));
    world.changed();
    res.json(world.state.settings);
  });
  router.post('/subscribe-app', async (_req, res) => {
    await subscribeApp(world);
    res.json({ success: true });
  });

  outboxRoutes(router, world, actions);
  faultRoutes(router, world);
  clockRoutes(router, world);
  customerRoutes(router, world);
  peopleRoutes(router, world);

  router.use((_req, res) => {
    res.status(404).json({ error: 'Unknown control route' });
  });
  router.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) next(error);
    else
      res
        .status(400)
        .json({ error: error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error) });
  });
  return router;
}

function outboxRoutes(router: Router, world: World, actions: ControlActions): void {
  router.get('/outbox', (req, res) => {
    const { state } = req.query;
    const listed = world.state.outbox.filter((delivery) => state === undefined || delivery.state === state);
    res.json({ deliveries: listed.map(withoutBody) });
  });
  router.get('/outbox/:id', (req, res) => {
    const delivery = world.state.outbox.find(({ id }) => id === req.params.id);
    if (delivery === undefined) res.status(404).json({ error: 'Unknown delivery' });
    else res.json(delivery);
  });
  router.post('/outbox/release', (_req, res) => {
    res.json({ released: releaseHeld(world) });
  });
  router.post('/outbox/settle', async (_req, res) => {
    await actions.settle();
    res.json({ success: true });
  });
  router.post('/webhooks', (req, res) => {
    const deliveries = sendWebhook(world, WebhookRequestSchema.parse(req.body));
    res.status(202).json({ deliveries: deliveries.map(withoutBody) });
  });
}

/** Lets go what was sent with `hold`. @returns how many */
export function releaseHeld(world: World): number {
  const held = world.state.outbox.filter(({ state }) => state === 'held');
  for (const delivery of held) delivery.state = 'pending';
  world.changed();
  world.wakeSender();
  return held.length;
}

function faultRoutes(router: Router, world: World): void {
  router.get('/faults', (_req, res) => {
    res.json({ faults: world.state.faults });
  });
  router.post('/faults', (req, res) => {
    res.status(201).json(addFault(world, req.body as FaultInput));
  });
  router.delete(['/faults', '/faults/:id'], (req, res) => {
    const { id } = req.params;
    removeFaults(world, typeof id === 'string' ? id : undefined);
    res.json({ success: true });
  });
}

function clockRoutes(router: Router, world: World): void {
  router.get('/clock', (_req, res) => {
    res.json({ now: new Date(world.now()).toISOString(), offsetMs: world.state.clockOffsetMs });
  });
  router.post('/clock', (req, res) => {
    const { advance } = z.strictObject({ advance: z.string() }).parse(req.body);
    const ms = parseDuration(advance);
    if (advance === 'reset') resetClock(world);
    else if (ms === null) throw new Error('advance is a duration such as 90s, 15m, 25h, 61d, or "reset"');
    else advanceClock(world, ms);
    res.json({ now: new Date(world.now()).toISOString(), offsetMs: world.state.clockOffsetMs });
  });
}

function customerRoutes(router: Router, world: World): void {
  const actions = {
    comments: customers.customerComments,
    messages: customers.customerMessages,
    mentions: customers.customerMentions,
    'story-mentions': customers.customerMentionsInStory,
    reactions: customers.customerReacts,
    edits: customers.customerEdits,
    unsends: customers.customerUnsends,
    seen: customers.customerSees,
    postbacks: customers.customerTapsButton,
  };
  for (const [name, act] of Object.entries(actions)) {
    router.post(`/customers/${name}`, (req, res) => {
      // Each action checks its own input.
      const result = act(world, req.body as never);
      const deliveries = Array.isArray(result) ? result : result.deliveries;
      const subject = Array.isArray(result) ? {} : result;
      res.status(202).json({ ...subject, deliveries: deliveries.map(withoutBody) });
    });
  }
}

function peopleRoutes(router: Router, world: World): void {
  router.post('/people/:id/remove-app', (req, res) => {
    people.removeApp(world, req.params.id);
    res.json({ success: true });
  });
  router.post('/people/:id/change-password', (req, res) => {
    people.changePassword(world, req.params.id);
    res.json({ success: true });
  });
  router.post('/people/:id/log-out', (req, res) => {
    people.logOut(world, req.params.id);
    res.json({ success: true });
  });
  router.post('/people/:id/permissions/:permission/revoke', (req, res) => {
    people.revokePermission(world, req.params.id, req.params.permission);
    res.json({ success: true });
  });
  router.post('/people/:id/pages/:pageId/lose-role', (req, res) => {
    people.loseRole(world, req.params.id, req.params.pageId);
    res.json({ success: true });
  });
  router.post('/people/:id/request-deletion', async (req, res) => {
    res.json({ reply: await people.requestDeletion(world, req.params.id) });
  });
}

function withoutBody({ body: _body, ...shown }: Delivery): Omit<Delivery, 'body'> {
  return shown;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
