import { createHmac, timingSafeEqual } from 'node:crypto';

import { EXEMPT_FROM_DATA_ACCESS_EXPIRY } from '../permissions';
import { type Grant, type Page, type SandboxState, type Token } from '../state';
import { type GraphCall } from './call';
import { GraphError, invalidParameter, invalidToken, permissionMissing } from './errors';
import { deadToken } from './tokenErrors';

/** The token of a call that needs one, after everything of meta-platform §8.3 that concerns it. */
export function requireToken(call: GraphCall): Token {
  if (call.tokenValue === null) {
    throw new GraphError({
      code: 2500,
      message: 'An active access token must be used to query information about the current user.',
    });
  }
  if (call.token?.value !== call.tokenValue) {
    throw invalidToken(null, 'Invalid OAuth access token - Cannot parse access token');
  }
  requireLiving(call.world.state, call.token, call.world.now());
  return call.token;
}

/** @throws GraphError 190 with the subcode of the reason */
export function requireLiving(state: SandboxState, token: Token, now: number): void {
  const subcode = deathOf(state, token, now);
  if (subcode !== null) throw deadToken(subcode, now, token.expiresAt ?? now);
}

/** The 190 subcode the token answers with, null while it lives. */
export function deathOf(state: SandboxState, token: Token, now: number): number | null {
  if (token.revokedWith !== null) return token.revokedWith;
  if (token.kind === 'APP') return null;
  if (findGrant(state, token) === undefined) return 458;
  const person = state.people.find(({ id }) => id === token.subjectId);
  if (person !== undefined && person.passwordEpoch !== token.passwordEpoch) return 460;
  if (token.expiresAt !== null && token.expiresAt <= now) return 463;
  if (token.kind === 'PAGE' && !hasRole(state, token)) return 492;
  return null;
}

export function findGrant(state: SandboxState, token: Token): Grant | undefined {
  return state.grants.find(({ flow, subjectId }) => flow === token.flow && subjectId === token.subjectId);
}

export function requireProof(call: GraphCall, token: Token): void {
  const { app } = call.world.state;
  const proof = call.params['appsecret_proof'];
  if (proof === undefined) {
    if (!app.requireProof || token.kind === 'APP') return;
    throw new GraphError({
      code: 100,
      type: 'GraphMethodException',
      message: 'API calls from the server require an appsecret_proof argument',
    });
  }
  const time = call.params['appsecret_time'];
  const message = time === undefined ? token.value : `${token.value}|${time}`;
  const expected = createHmac('sha256', app.secret).update(message).digest('hex');
  const isFresh = time === undefined || Math.abs(call.world.now() - Number(time) * 1000) <= 300_000;
  if (!isFresh || !equal(proof, expected)) {
    throw new GraphError({
      code: 100,
      type: 'GraphMethodException',
      message: 'Invalid appsecret_proof provided in the API argument',
    });
  }
}

/** @param targetId the Page or Instagram account the permission must reach; null for any */
export function requirePermission(call: GraphCall, permission: string, targetId: string | null): void {
  if (!hasPermission(call, permission, targetId)) throw permissionMissing(permission);
}

export function hasPermission(call: GraphCall, permission: string, targetId: string | null): boolean {
  if (call.token === null) return false;
  const grant = findGrant(call.world.state, call.token);
  if (grant === undefined || !isGranted(grant, permission, targetId)) return false;
  return grant.dataAccessExpiresAt > call.world.now() || EXEMPT_FROM_DATA_ACCESS_EXPIRY.has(permission);
}

export function isGranted(grant: Grant, permission: string, targetId: string | null): boolean {
  const entry = grant.permissions[permission];
  if (entry?.status !== 'granted') return false;
  return targetId === null || entry.targetIds === null || entry.targetIds.includes(targetId);
}

export function roleOn(page: Page, token: Token) {
  return page.roles.find(({ personId }) => personId === token.subjectId);
}

export function requireTask(page: Page, token: Token, tasks: string[]): void {
  const role = roleOn(page, token);
  if (role?.tasks.some((task) => tasks.includes(task.replace('PROFILE_PLUS_', ''))) === true) return;
  throw new GraphError({
    code: 200,
    status: 403,
    message: `(#200) The user must have one of these tasks on the Page: ${tasks.join(', ')}`,
  });
}

export function requireAppToken(call: GraphCall): void {
  if (call.token?.kind === 'APP') return;
  throw new GraphError({ code: 15, message: '(#15) This method must be called with an app access_token.' });
}

export function requireParam(call: GraphCall, name: string): string {
  const value = call.params[name];
  if (value === undefined || value === '') throw invalidParameter(`The parameter ${name} is required`);
  return value;
}

export function equal(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function hasRole(state: SandboxState, token: Token): boolean {
  const page = state.pages.find(({ id }) => id === token.pageId);
  return page !== undefined && roleOn(page, token) !== undefined;
}
