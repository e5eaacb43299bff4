import { readGrant } from '../../src/connections/readGrant';
import { type AppContext } from '../../src/context';

const NOW = Date.UTC(2027, 2, 10);
beforeAll(() => {
  jest.useFakeTimers({ now: NOW });
});
afterAll(() => {
  jest.useRealTimers();
});

/** A Meta that says this of a token and of its exchange. */
function meta(facts: object, exchange: object): Pick<AppContext, 'config' | 'graph'> {
  const answers: Record<string, object> = {
    '/oauth/access_token': { access_token: 'EAADEMO', ...exchange },
    '/debug_token': { data: { app_id: '1', is_valid: true, ...facts } },
    '/me': { id: '2', name: 'Ada' },
    '/me/permissions': { data: [] },
    '/me/accounts': {
      data: [{ id: '3', name: 'Bar', access_token: 'EAAPAGE', instagram_business_account: { id: '4' } }],
    },
    '/4': { id: '4', username: 'bar.example' },
  };
  const graph = {
    appId: '1',
    appToken: '1|s',
    appCredentials: { client_id: '1', client_secret: 's' },
    get: (call: { path: string; schema: { parse: (answer: unknown) => unknown } }) =>
      Promise.resolve(call.schema.parse(answers[call.path])),
  };
  return { graph, config: { meta: { appId: '1' }, oauthRedirectUri: '' } } as unknown as AppContext;
}

const endOf = async (facts: object, exchange: object = {}) =>
  (await readGrant(meta(facts, exchange), 'code', new AbortController().signal)).tokenExpiresAt;
const inDays = (days: number) => new Date(NOW + days * 86_400_000);

describe('the end of a new token', () => {
  it('is what debug_token says, and never only where it says so', async () => {
    expect(await endOf({ expires_at: inDays(50).getTime() / 1000 }, { expires_in: 86_400 })).toEqual(
      inDays(50),
    );
    expect(await endOf({ expires_at: 0 }, { expires_in: 86_400 })).toBeNull();
  });

  it.each([{}, { expires_at: null }, { expires_at: -1 }, { expires_at: 'x' }])(
    'is what the exchange says after %j, or else what is usual',
    async (facts) => {
      expect(await endOf(facts, { expires_in: 10 * 86_400 })).toEqual(inDays(10));
      expect(await endOf(facts)).toEqual(inDays(60));
    },
  );
});
