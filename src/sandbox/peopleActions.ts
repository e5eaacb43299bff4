import { createHmac } from 'node:crypto';

import { callOut, type Reply } from './callOut';
import { permissionItem } from './webhooks/items';
import { sendItems } from './webhooks/send';
import { type Grant } from './state';
import { type World } from './world';

/** The person removes the app: every token ends, the app is told by webhook and by the deauthorize callback. */
export function removeApp(world: World, personId: string): void {
  const grant = facebookGrant(world, personId);
  if (grant === undefined) return;
  world.state.grants = world.state.grants.filter((known) => known !== grant);
  endTokens(world, personId, 458);
  const items = Object.entries(grant.permissions)
    .filter(([, { status }]) => status === 'granted')
    .map(([permission, { targetIds }]) => permissionItem(world, personId, permission, 'revoked', targetIds));
  const name = nameOf(world, personId);
  sendItems(world, items, `${name} removed the app`, { batch: 1000, perEntry: 1000 });
  const { deauthorizeUrl } = world.state.app;
  if (deauthorizeUrl !== null) {
    callBack(world, deauthorizeUrl, personId).catch((error: unknown) => {
      world.log(`sandbox: the deauthorize callback failed: ${String(error)}`);
    });
  }
}

export function revokePermission(world: World, personId: string, permission: string): void {
  const entry = facebookGrant(world, personId)?.permissions[permission];
  if (entry?.status !== 'granted') return;
  entry.status = 'declined';
  const item = permissionItem(world, personId, permission, 'revoked', entry.targetIds);
  sendItems(world, [item], `${nameOf(world, personId)} revoked ${permission}`);
}

export function changePassword(world: World, personId: string): void {
  const person = world.state.people.find(({ id }) => id === personId);
  if (person !== undefined) person.passwordEpoch += 1;
  world.changed();
}

/** The person logs out everywhere. */
export function logOut(world: World, personId: string): void {
  endTokens(world, personId, 467);
  world.changed();
}

export function loseRole(world: World, personId: string, pageId: string): void {
  const page = world.state.pages.find(({ id }) => id === pageId);
  if (page !== undefined) page.roles = page.roles.filter((role) => role.personId !== personId);
  world.changed();
}

/** Asks the app to delete the person's data. Null when the app has no such callback. */
export async function requestDeletion(world: World, personId: string): Promise<Reply | null> {
  const { deletionUrl } = world.state.app;
  return deletionUrl === null ? null : callBack(world, deletionUrl, personId);
}

/** The `signed_request` of meta-platform §3.8. */
export function signedRequest(secret: string, payload: object): string {
  const encoded = Buffer.from(JSON.stringify(payload)).toString('base64url');
  return `${createHmac('sha256', secret).update(encoded).digest('base64url')}.${encoded}`;
}

function callBack(world: World, url: string, personId: string): Promise<Reply> {
  const issuedAt = Math.floor(world.now() / 1000);
  const payload = {
    algorithm: 'HMAC-SHA256',
    expires: issuedAt + 3600,
    issued_at: issuedAt,
    user_id: personId,
  };
  const body = new URLSearchParams({
    signed_request: signedRequest(world.state.app.secret, payload),
  }).toString();
  return callOut('POST', url, {
    body,
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': String(Buffer.byteLength(body)),
    },
    timeoutMs: world.state.settings.webhookDeadlineMs,
  });
}

function endTokens(world: World, personId: string, subcode: number): void {
  for (const token of world.state.tokens) {
    if (token.flow === 'facebook' && token.subjectId === personId) token.revokedWith ??= subcode;
  }
}

function facebookGrant(world: World, personId: string): Grant | undefined {
  return world.state.grants.find(({ flow, subjectId }) => flow === 'facebook' && subjectId === personId);
}

function nameOf(world: World, personId: string): string {
  return world.state.people.find(({ id }) => id === personId)?.name ?? 'Someone';
}
