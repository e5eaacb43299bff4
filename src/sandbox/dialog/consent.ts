import { issueUserToken } from '../graph/issueTokens';
import { newCodeValue } from '../ids';
import { type Grant, type Page, type Person } from '../state';
import { type World } from '../world';
import { permissionsToAsk, type DialogRequest } from './request';

export interface Consent {
  person: Person;
  /** Of the permissions the page asked about. */
  granted: string[];
  /** Null for all present and future Pages. */
  pageIds: string[] | null;
}

const DAY_MS = 86_400_000;
const CODE_LIFE_MS = 600_000;

/** Records what the person allowed. @returns the address to send the browser to */
export function grantConsent(world: World, request: DialogRequest, consent: Consent): string {
  const { person } = consent;
  const grant = findFacebookGrant(world, person.id) ?? newGrant(world, person.id);
  for (const permission of permissionsToAsk(request, grant)) {
    const isGranted = permission === 'public_profile' || consent.granted.includes(permission);
    grant.permissions[permission] = {
      status: isGranted ? 'granted' : 'declined',
      targetIds: targetsOf(world, permission, consent.pageIds),
    };
  }
  grant.dataAccessExpiresAt = world.now() + 90 * DAY_MS;
  world.changed();
  return answerUrl(request, successParams(world, request, person, grant));
}

export function denyConsent(request: DialogRequest, isForbidden: boolean): string {
  const query = {
    error: 'access_denied',
    ...(isForbidden ? { error_code: '200' } : {}),
    error_description: 'Permissions error',
    error_reason: 'user_denied',
  };
  return answerUrl(request, { query, fragment: {} });
}

export function findFacebookGrant(world: World, personId: string): Grant | undefined {
  return world.state.grants.find(({ flow, subjectId }) => flow === 'facebook' && subjectId === personId);
}

export function pagesOf(world: World, personId: string): Page[] {
  return world.state.pages.filter(({ roles }) => roles.some((role) => role.personId === personId));
}

function newGrant(world: World, personId: string): Grant {
  const grant: Grant = { flow: 'facebook', subjectId: personId, permissions: {}, dataAccessExpiresAt: 0 };
  world.state.grants.push(grant);
  return grant;
}

function targetsOf(world: World, permission: string, pageIds: string[] | null): string[] | null {
  if (pageIds === null || ['public_profile', 'email', 'business_management'].includes(permission))
    return null;
  if (!permission.startsWith('instagram_')) return pageIds;
  const pages = world.state.pages.filter(({ id }) => pageIds.includes(id));
  return pages.flatMap(({ igAccountId }) => igAccountId ?? []);
}

function successParams(world: World, request: DialogRequest, person: Person, grant: Grant) {
  const types = request.responseType.split(/[\s,]+/);
  const granted = Object.entries(grant.permissions).filter(([, { status }]) => status === 'granted');
  const scopes = granted.map(([permission]) => permission).join(',');
  const shared: Record<string, string> = types.includes('granted_scopes') ? { granted_scopes: scopes } : {};
  if (types.includes('code') || !types.includes('token')) {
    shared['code'] = issueCode(world, request, person);
  }
  if (!types.includes('token')) return { query: shared, fragment: {} };
  const token = issueUserToken(world, person, false);
  const expiresIn = String(Math.floor(((token.expiresAt ?? 0) - world.now()) / 1000));
  return { query: {}, fragment: { ...shared, access_token: token.value, expires_in: expiresIn } };
}

function issueCode(world: World, request: DialogRequest, person: Person): string {
  const value = newCodeValue();
  const now = world.now();
  world.state.codes = world.state.codes.filter(({ expiresAt }) => expiresAt > now - DAY_MS);
  world.state.codes.push({
    value,
    flow: 'facebook',
    subjectId: person.id,
    redirectUri: request.redirectUri,
    expiresAt: now + CODE_LIFE_MS,
    used: false,
  });
  return value;
}

/** Meta ends the address with `#_=_` when there is nothing else to put into the fragment. */
function answerUrl(
  request: DialogRequest,
  { query, fragment }: { query: Record<string, string>; fragment: Record<string, string> },
): string {
  const state: Record<string, string> = request.state === null ? {} : { state: request.state };
  const inFragment = Object.keys(fragment).length > 0;
  const queryText = new URLSearchParams(inFragment ? query : { ...query, ...state }).toString();
  const fragmentText = inFragment ? new URLSearchParams({ ...fragment, ...state }).toString() : '_=_';
  const separator = request.redirectUri.includes('?') ? '&' : '?';
  return `${request.redirectUri}${queryText === '' ? '' : separator + queryText}#${fragmentText}`;
}
