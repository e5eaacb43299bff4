import { type Grant, type Token } from '../state';
import { type GraphCall } from './call';
import { deathOf, findGrant, requireParam } from './checks';
import { invalidParameter, type GraphError } from './errors';
import { deadToken } from './tokenErrors';
import { type GraphRoute } from './graphHost';

export const debugTokenRoutes: GraphRoute[] = [
  { method: 'GET', pattern: '/debug_token', handle: debugToken },
];

function debugToken(call: GraphCall): object {
  requireInsider(call);
  const { state } = call.world;
  const value = requireParam(call, 'input_token');
  const token = state.tokens.find((known) => known.value === value);
  if (value === `${state.app.id}|${state.app.secret}`) {
    return { data: { ...appFacts(call), type: 'APP', is_valid: true, scopes: [] } };
  }
  if (token === undefined || token.flow !== 'facebook') {
    return {
      data: { error: { code: 190, message: 'Invalid OAuth access token.' }, is_valid: false, scopes: [] },
    };
  }
  const death = deathOf(state, token, call.world.now());
  const grant = findGrant(state, token);
  return {
    data: {
      ...appFacts(call),
      type: token.kind,
      ...(death === null ? {} : { error: deathNotice(call, token, death) }),
      data_access_expires_at: seconds(grant?.dataAccessExpiresAt ?? 0),
      expires_at: seconds(token.expiresAt ?? 0),
      is_valid: death === null,
      ...(token.longLived ? { issued_at: seconds(token.issuedAt) } : {}),
      ...(token.pageId === null ? {} : { profile_id: token.pageId }),
      user_id: token.subjectId,
      ...(death === null && grant !== undefined ? scopesOf(grant) : { scopes: [] }),
    },
  };
}

/** Meta wants the app itself, or a person with a role on it. */
function requireInsider(call: GraphCall): void {
  const { token, world } = call;
  if (token?.kind === 'APP' || world.state.app.roleUserIds.includes(token?.subjectId ?? '')) return;
  throw invalidParameter(
    'You must provide an app access token, or a user access token that is an owner or developer of the app',
  );
}

function appFacts(call: GraphCall): object {
  return { app_id: call.world.state.app.id, application: call.world.state.app.name };
}

function deathNotice(call: GraphCall, token: Token, subcode: number): object {
  const now = call.world.now();
  const error: GraphError = deadToken(subcode, now, token.expiresAt ?? now);
  return { code: 190, message: error.message, subcode };
}

function scopesOf(grant: Grant): object {
  const granted = Object.entries(grant.permissions).filter(([, { status }]) => status === 'granted');
  return {
    scopes: granted.map(([scope]) => scope),
    granular_scopes: granted.map(([scope, { targetIds }]) =>
      targetIds === null ? { scope } : { scope, target_ids: targetIds },
    ),
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
