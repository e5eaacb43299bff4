import { type Person } from '../state';
import { type GraphCall } from './call';
import { equal, requireLiving, requireParam } from './checks';
import { GraphError, invalidParameter } from './errors';
import { issueUserToken } from './issueTokens';
import { type GraphRoute } from './graphHost';

export const oauthRoutes: GraphRoute[] = [
  { method: 'GET', pattern: '/oauth/access_token', open: true, handle: accessToken },
  { method: 'POST', pattern: '/oauth/access_token', open: true, handle: accessToken },
];

function accessToken(call: GraphCall): object {
  requireClient(call);
  switch (call.params['grant_type']) {
    case undefined:
    case '':
    case 'authorization_code':
      return exchangeCode(call);
    case 'fb_exchange_token':
      return exchangeToken(call);
    case 'client_credentials':
      return {
        access_token: `${call.world.state.app.id}|${call.world.state.app.secret}`,
        token_type: 'bearer',
      };
    default:
      throw invalidParameter('Invalid grant_type');
  }
}

function requireClient(call: GraphCall): void {
  const { app } = call.world.state;
  if (requireParam(call, 'client_id') !== app.id) {
    throw new GraphError({
      code: 101,
      message: 'Error validating application. Cannot get application info due to a system error.',
    });
  }
  if (!equal(requireParam(call, 'client_secret'), app.secret)) {
    throw new GraphError({ code: 1, message: 'Error validating client secret.' });
  }
}

function exchangeCode(call: GraphCall): object {
  const value = requireParam(call, 'code');
  const redirectUri = requireParam(call, 'redirect_uri');
  const code = call.world.state.codes.find((known) => known.value === value && known.flow === 'facebook');
  const person = call.world.state.people.find(({ id }) => id === code?.subjectId);
  if (code === undefined || person === undefined) {
    throw codeError(36_009, 'Invalid verification code format.');
  }
  if (code.used) throw codeError(36_009, 'This authorization code has been used.');
  if (code.expiresAt <= call.world.now()) throw codeError(36_007, 'This authorization code has expired.');
  if (code.redirectUri !== redirectUri) {
    throw codeError(
      36_008,
      'Error validating verification code. Please make sure your redirect_uri is identical to the one you used in the OAuth dialog request',
    );
  }
  code.used = true;
  return issued(call, person, false);
}

/** Also a long-lived token may come here again: the answer is a new one with fresh 60 days. */
function exchangeToken(call: GraphCall): object {
  const { state } = call.world;
  const token = state.tokens.find(({ value }) => value === requireParam(call, 'fb_exchange_token'));
  const person = state.people.find(({ id }) => id === token?.subjectId);
  if (token?.kind !== 'USER' || person === undefined) {
    throw new GraphError({ code: 190, message: 'Invalid OAuth access token - Cannot parse access token' });
  }
  requireLiving(state, token, call.world.now());
  return issued(call, person, true);
}

function issued(call: GraphCall, person: Person, longLived: boolean): object {
  const token = issueUserToken(call.world, person, longLived);
  const expiresIn = Math.floor(((token.expiresAt ?? 0) - call.world.now()) / 1000);
  return { access_token: token.value, token_type: 'bearer', expires_in: expiresIn };
}

function codeError(subcode: number, message: string): GraphError {
  return new GraphError({ code: 100, subcode, message });
}
