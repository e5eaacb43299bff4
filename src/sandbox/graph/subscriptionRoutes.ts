import { INSTAGRAM_FIELDS, PAGE_FIELDS } from '../permissions';
import { verifyCallback } from '../webhooks/handshake';
import { type World } from '../world';
import { type GraphCall } from './call';
import { requireAppToken, requireParam } from './checks';
import { GraphError, invalidParameter, missingObject } from './errors';
import { type GraphRoute } from './graphHost';

export const subscriptionRoutes: GraphRoute[] = [
  { method: 'GET', pattern: '/:app/subscriptions', handle: listSubscriptions },
  { method: 'POST', pattern: '/:app/subscriptions', handle: createSubscription },
  { method: 'DELETE', pattern: '/:app/subscriptions', handle: deleteSubscription },
];

const FIELDS_BY_OBJECT: Record<string, string[]> = {
  instagram: Object.keys(INSTAGRAM_FIELDS),
  page: PAGE_FIELDS,
  permissions: [],
  user: ['name', 'email', 'photos'],
};

export function instagramFieldNames(): string[] {
  return Object.keys(INSTAGRAM_FIELDS);
}

/**
 * Subscribes the app to an object after asking the callback to confirm (meta-platform §3.1).
 * Fields it already has are kept.
 * @throws GraphError 2200 when the callback does not echo the challenge
 */
export async function subscribe(
  world: World,
  request: { object: string; callbackUrl: string; verifyToken: string; fields: string[]; version: string },
): Promise<void> {
  const failure = await verifyCallback(world, request.callbackUrl, request.verifyToken);
  if (failure !== null) {
    throw new GraphError({
      code: 2200,
      message: `(#2200) Callback verification failed with the following errors: ${failure}`,
    });
  }
  const { subscriptions } = world.state;
  const existing = subscriptions.find(({ object }) => object === request.object);
  const added = request.fields.map((name) => ({ name, version: request.version }));
  const kept = (existing?.fields ?? []).filter(({ name }) => !request.fields.includes(name));
  const { object, callbackUrl, verifyToken } = request;
  const subscription = { object, callbackUrl, verifyToken, fields: [...kept, ...added], active: true };
  if (existing === undefined) subscriptions.push(subscription);
  else Object.assign(existing, subscription);
  world.changed();
}

function listSubscriptions(call: GraphCall): object {
  requireOwnApp(call);
  const data = call.world.state.subscriptions.map(({ object, callbackUrl, active, fields }) => ({
    object,
    callback_url: callbackUrl,
    active,
    fields,
  }));
  return { data };
}

async function createSubscription(call: GraphCall): Promise<object> {
  requireOwnApp(call);
  const object = requireParam(call, 'object');
  const known = FIELDS_BY_OBJECT[object];
  if (known === undefined)
    throw invalidParameter(`Param object must be one of ${Object.keys(FIELDS_BY_OBJECT).join(', ')}`);
  const fields = splitList(call.params['fields']);
  const unknown = fields.find((field) => known.length > 0 && !known.includes(field));
  if (unknown !== undefined) throw invalidParameter(`Unknown field ${unknown} for object ${object}`);
  await subscribe(call.world, {
    object,
    fields,
    callbackUrl: requireParam(call, 'callback_url'),
    verifyToken: requireParam(call, 'verify_token'),
    version: call.version ?? '',
  });
  return { success: true };
}

/** Without `object` every subscription of the app goes, as Meta does it. */
function deleteSubscription(call: GraphCall): object {
  requireOwnApp(call);
  const { object } = call.params;
  const fields = splitList(call.params['fields']);
  const { state } = call.world;
  const subscription = state.subscriptions.find((known) => known.object === object);
  if (subscription !== undefined && fields.length > 0) {
    subscription.fields = subscription.fields.filter(({ name }) => !fields.includes(name));
  } else {
    state.subscriptions = state.subscriptions.filter(
      (known) => object !== undefined && known.object !== object,
    );
  }
  return { success: true };
}

function requireOwnApp(call: GraphCall): void {
  requireAppToken(call);
  const { app } = call.segments;
  if (app !== call.world.state.app.id) throw missingObject(app ?? '');
}

function splitList(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);
}
