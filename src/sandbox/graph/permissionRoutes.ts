import { removeApp, revokePermission } from '../peopleActions';
import { type Token } from '../state';
import { type GraphCall } from './call';
import { findGrant } from './checks';
import { GraphError, invalidParameter } from './errors';
import { type GraphRoute } from './graphHost';

export const permissionRoutes: GraphRoute[] = [
  { method: 'DELETE', pattern: '/:id/permissions', handle: deleteAll },
  { method: 'DELETE', pattern: '/:id/permissions/:permission', handle: deleteOne },
];

function deleteAll(call: GraphCall): object {
  const token = requireOwnUser(call);
  removeApp(call.world, token.subjectId);
  return { success: true };
}

function deleteOne(call: GraphCall): object {
  const token = requireOwnUser(call);
  const permission = call.segments['permission'] ?? '';
  const grant = findGrant(call.world.state, token);
  if (grant?.permissions[permission] === undefined) {
    throw invalidParameter(`The permission ${permission} was never asked for`);
  }
  revokePermission(call.world, token.subjectId, permission);
  return { success: true };
}

function requireOwnUser(call: GraphCall): Token {
  const { token, segments } = call;
  if (token?.kind === 'USER' && ['me', token.subjectId].includes(segments['id'] ?? '')) return token;
  throw new GraphError({ code: 200, status: 403, message: '(#200) Only the person can remove permissions' });
}
