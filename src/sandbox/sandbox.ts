import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';

import { advanceClock } from './clock';
import { releaseHeld } from './control/api';
import { createSandboxServer } from './createSandboxServer';
import {
  customerComments,
  customerMentions,
  customerMessages,
  type CommentResult,
  type MentionResult,
  type MessageResult,
} from './customers';
import { addFault, removeFaults, type FaultInput } from './faults/faults';
import { Journal, type JournalEntry } from './journal';
import { seedState } from './seed';
import { readSnapshot, SnapshotWriter } from './snapshot';
import { type AppRecord, type Delivery, type FaultRule, type SandboxState } from './state';
import { subscribeApp } from './subscribeApp';
import { type WebhookRequest } from './webhooks/options';
import { sendWebhook } from './webhooks/send';
import { Sender } from './webhooks/sender';
import { type World } from './world';

export interface SandboxApp {
  appId: string;
  appSecret: string;
  instagramAppId: string;
  instagramAppSecret: string;
  redirectUris: string[];
  webhookUrl: string;
  verifyToken: string;
  /** Called when a person removes the app; without it nobody is told. */
  deauthorizeUrl?: string;
  deletionUrl?: string;
}

export interface SandboxOptions {
  /** 127.0.0.1 when left out. */
  host?: string;
  /** Wanted port; a free one is taken when it is in use, and for 0. */
  port?: number;
  /** Where the state is kept, so that a restart still knows its tokens. */
  stateFile?: string;
  app: SandboxApp;
  log?: (line: string) => void;
}

export interface SandboxBases {
  META_DIALOG_BASE: string;
  META_GRAPH_BASE: string;
  IG_DIALOG_BASE: string;
  IG_API_BASE: string;
  IG_GRAPH_BASE: string;
}

export interface Sandbox {
  readonly url: string;
  readonly bases: SandboxBases;
  /** The living state. A test may also change it: the next call sees it. */
  readonly state: SandboxState;
  close(): Promise<void>;
  /**
   * What an operator does in Meta's dashboard: subscribes the app to object `instagram` with all fields and
   * to `permissions`, after a real verification request to the app's webhook.
   * @throws GraphError when the webhook does not confirm
   */
  subscribeApp(): Promise<void>;
  /** Calls of the app, oldest first. */
  journal(): JournalEntry[];
  addFault(rule: FaultInput): FaultRule;
  clearFaults(): void;
  advanceClock(ms: number): void;
  /** Milliseconds on the virtual clock. */
  now(): number;
  sendWebhook(request: WebhookRequest): Delivery[];
  customerComments(input: Parameters<typeof customerComments>[1]): CommentResult;
  customerMentions(input: Parameters<typeof customerMentions>[1]): MentionResult;
  customerMessages(input: Parameters<typeof customerMessages>[1]): MessageResult;
  /** Sends what was held back. @returns how many deliveries */
  releaseHeld(): number;
  /** Resolves when the outbox has nothing to deliver now. */
  settle(): Promise<void>;
  /** Back to the seed; the clock too. */
  reset(): void;
}

export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  if (process.env['NODE_ENV'] === 'production') throw new Error('The Meta sandbox never runs in production.');
  const log = options.log ?? (() => undefined);
  const world = createWorld(options, log);
  const snapshot =
    options.stateFile === undefined ? null : new SnapshotWriter(options.stateFile, () => world.state, log);
  const sender = new Sender(world);
  world.changed = () => snapshot?.changed();
  world.wakeSender = () => {
    sender.wake();
  };
  const settle = () => sender.settle();
  const reset = () => {
    world.state = seedState(appRecord(options.app), Date.now());
    world.journal.clear();
    world.changed();
  };
  const writeSnapshot = () => snapshot?.changed();

  const server = createServer(createSandboxServer(world, { reset, settle, writeSnapshot }));
  const host = options.host ?? '127.0.0.1';
  const port = await listen(server, host, options.port ?? 0);
  world.url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  sender.wake();

  return {
    url: world.url,
    bases: basesOf(world.url),
    get state() {
      return world.state;
    },
    close: async () => {
      await sender.close();
      await closeServer(server);
      await snapshot?.close();
    },
    subscribeApp: () => subscribeApp(world),
    journal: () => world.journal.entries(),
    addFault: (rule) => addFault(world, rule),
    clearFaults: () => {
      removeFaults(world);
    },
    advanceClock: (ms) => {
      advanceClock(world, ms);
    },
    now: () => world.now(),
    sendWebhook: (request) => sendWebhook(world, request),
    customerComments: (input) => customerComments(world, input),
    customerMentions: (input) => customerMentions(world, input),
    customerMessages: (input) => customerMessages(world, input),
    releaseHeld: () => releaseHeld(world),
    settle,
    reset,
  };
}

function createWorld(options: SandboxOptions, log: (line: string) => void): World {
  const app = appRecord(options.app);
  const kept = options.stateFile === undefined ? null : readSnapshot(options.stateFile, log);
  const state = kept === null ? seedState(app, Date.now()) : withCurrentApp(kept, app);
  const world: World = {
    state,
    url: '',
    journal: new Journal(),
    log,
    now: () => Date.now() + world.state.clockOffsetMs,
    changed: () => undefined,
    wakeSender: () => undefined,
  };
  return world;
}

function appRecord(app: SandboxApp): AppRecord {
  return {
    id: app.appId,
    secret: app.appSecret,
    instagramAppId: app.instagramAppId,
    instagramAppSecret: app.instagramAppSecret,
    name: 'Insta Connect Demo',
    mode: 'live',
    dashboardVersion: 'v26.0',
    redirectUris: app.redirectUris,
    webhookUrl: app.webhookUrl,
    verifyToken: app.verifyToken,
    deauthorizeUrl: app.deauthorizeUrl ?? null,
    deletionUrl: app.deletionUrl ?? null,
    requireProof: false,
    roleUserIds: ['10225550001112223'],
    configurations: [
      {
        id: '778899001122335',
        name: 'Instagram connection',
        permissions: [
          'pages_show_list',
          'pages_read_engagement',
          'pages_manage_metadata',
          'instagram_basic',
          'instagram_manage_comments',
          'instagram_manage_messages',
        ],
      },
    ],
  };
}

/** The app's settings come from the start, also for subscriptions that still name the app's old address. */
function withCurrentApp(state: SandboxState, app: AppRecord): SandboxState {
  const moved = (callbackUrl: string) =>
    callbackUrl === state.app.webhookUrl ? app.webhookUrl : callbackUrl;
  return {
    ...state,
    app,
    subscriptions: state.subscriptions.map((known) => ({ ...known, callbackUrl: moved(known.callbackUrl) })),
    outbox: state.outbox.map((delivery) => ({ ...delivery, callbackUrl: moved(delivery.callbackUrl) })),
  };
}

function basesOf(url: string): SandboxBases {
  return {
    META_DIALOG_BASE: `${url}/www.facebook.com`,
    META_GRAPH_BASE: `${url}/graph.facebook.com`,
    IG_DIALOG_BASE: `${url}/www.instagram.com`,
    IG_API_BASE: `${url}/api.instagram.com`,
    IG_GRAPH_BASE: `${url}/graph.instagram.com`,
  };
}

async function listen(server: Server, host: string, wanted: number): Promise<number> {
  try {
    await listenOn(server, host, wanted);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    await listenOn(server, host, 0);
  }
  return (server.address() as AddressInfo).port;
}

function listenOn(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections();
  });
}
