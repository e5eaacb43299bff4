import { instagramFieldNames, subscribe } from './graph/subscriptionRoutes';
import { type World } from './world';

/**
 * What an operator does once in Meta's dashboard: subscribes the app to object `instagram`, with all its
 * fields, and to `permissions`.
 * @throws GraphError when the app's webhook does not confirm
 */
export async function subscribeApp(world: World): Promise<void> {
  const { webhookUrl, verifyToken, dashboardVersion } = world.state.app;
  const callback = { callbackUrl: webhookUrl, verifyToken, version: dashboardVersion };
  await subscribe(world, { ...callback, object: 'instagram', fields: instagramFieldNames() });
  await subscribe(world, { ...callback, object: 'permissions', fields: ['connected'] });
}
