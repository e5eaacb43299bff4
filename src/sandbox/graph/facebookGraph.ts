import { debugTokenRoutes } from './debugToken';
import { type GraphRoute } from './graphHost';
import { installRoutes } from './installRoutes';
import { oauthRoutes } from './oauthRoutes';
import { permissionRoutes } from './permissionRoutes';
import { readRoutes } from './readRoutes';
import { subscriptionRoutes } from './subscriptionRoutes';

/** Everything graph.facebook.com can do here. The first route that fits a path wins. */
export const facebookGraphRoutes: GraphRoute[] = [
  ...oauthRoutes,
  ...debugTokenRoutes,
  ...permissionRoutes,
  ...subscriptionRoutes,
  ...installRoutes,
  ...readRoutes,
];
