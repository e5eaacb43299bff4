import { FACEBOOK_PERMISSIONS } from '../permissions';
import { type Grant } from '../state';
import { type World } from '../world';

/** A valid request for the Facebook Login dialog. */
export interface DialogRequest {
  redirectUri: string;
  state: string | null;
  responseType: string;
  /** What the app asks for, `public_profile` included. */
  permissions: string[];
  /** With a configuration of Facebook Login for Business it is all or nothing. */
  isAllOrNothing: boolean;
  authType: string | null;
}

export type DialogParams = Record<string, string>;

/** The request, or the sentence of the error page: an invalid one is never redirected (meta-platform §1.3). */
export function readDialogRequest(world: World, params: DialogParams): DialogRequest | string {
  const { app } = world.state;
  if (params['client_id'] !== app.id) {
    return 'Invalid App ID: the provided app ID does not look like a valid app ID.';
  }
  const redirectUri = params['redirect_uri'] ?? '';
  if (!app.redirectUris.includes(redirectUri)) {
    return "URL blocked: this redirect failed because the redirect URI is not whitelisted in the app's client OAuth settings.";
  }
  const responseType = params['response_type'] ?? 'code';
  const isKnownType = responseType.split(/[\s,]+/).every((part) => RESPONSE_TYPES.includes(part));
  if (!isKnownType) return `Invalid response_type: ${responseType}`;

  const configuration = app.configurations.find(({ id }) => id === params['config_id']);
  if (params['config_id'] !== undefined && configuration === undefined) {
    return 'Invalid config_id: the app has no such login configuration.';
  }
  const asked = configuration?.permissions ?? (params['scope'] ?? '').split(/[\s,]+/).filter(Boolean);
  const unknown = asked.filter((permission) => !Object.hasOwn(FACEBOOK_PERMISSIONS, permission));
  if (unknown.length > 0) return `Invalid Scopes: ${unknown.join(', ')}.`;
  return {
    redirectUri,
    state: params['state'] ?? null,
    responseType,
    permissions: [...new Set(['public_profile', ...asked])],
    isAllOrNothing: configuration !== undefined,
    authType: params['auth_type'] ?? null,
  };
}

/** What the consent page asks about: a declined permission is left out unless the app says `rerequest`. */
export function permissionsToAsk(request: DialogRequest, grant: Grant | undefined): string[] {
  const isRerequest = request.authType?.split(',').includes('rerequest') === true;
  return request.permissions.filter(
    (permission) => isRerequest || grant?.permissions[permission]?.status !== 'declined',
  );
}

const RESPONSE_TYPES = ['code', 'token', 'granted_scopes'];
