import { type AppContext } from '../context';
import { MetaApiError } from '../meta/errors';
import {
  debugToken,
  exchangeCode,
  exchangeForLongLived,
  fetchMe,
  fetchPermissions,
  type TokenFacts,
} from '../meta/facebookLogin';
import {
  fetchInstagramProfile,
  type InstagramProfile,
  type ConnectablePage,
  isConnectable,
  listPages,
  type MetaPage,
} from '../meta/pages';
import { connectFailure, ConnectError, failureOfCall, type Finding } from './connectFailure';

/** Everything Meta told us about one login, read before anything of it is stored. */
export interface Grant {
  userToken: string;
  person: { id: string; name: string | null };
  /** Null for never. */
  tokenExpiresAt: Date | null;
  dataAccessExpiresAt: Date | null;
  granted: string[];
  declined: string[];
  accounts: GrantedAccount[];
}

export interface GrantedAccount {
  page: MetaPage;
  pageToken: string;
  profile: InstagramProfile & { username: string };
}

/** What Meta documents for a long-lived token: taken when it does not say itself, so that renewing begins in time. */
const USUAL_LIFE_SECONDS = 60 * 86_400;

/**
 * Turns the code of the dialog into tokens and the list of accounts they reach. The code is used once; nothing is stored.
 * @throws ConnectError when there is nothing to connect, MetaApiError when Meta fails
 */
export async function readGrant(
  { config, graph }: Pick<AppContext, 'config' | 'graph'>,
  code: string,
  signal: AbortSignal,
): Promise<Grant> {
  const shortLived = await exchange(graph, { code, redirectUri: config.oauthRedirectUri }, signal);
  const exchanged = await exchangeForLongLived(graph, shortLived, { signal });
  const { token: userToken } = exchanged;
  const usualEnd = new Date(Date.now() + (exchanged.expiresInSeconds ?? USUAL_LIFE_SECONDS) * 1000);
  const [facts, person, permissions] = await Promise.all([
    debugToken(graph, userToken, { signal }),
    fetchMe(graph, userToken, { signal }),
    fetchPermissions(graph, userToken, { signal }),
  ]);
  if (facts.appId !== config.meta.appId || !facts.isValid)
    throw new ConnectError(connectFailure('wrong_app'));

  const scopes = permissions.granted;
  const pages = await listPages(graph, userToken, { targets: facts.targets, scopes }, { signal });
  const connectable = onePerAccount(pages.filter(isConnectable));
  if (connectable.length === 0) {
    throw new ConnectError(connectFailure('no_accounts', { findings: explainNothing(pages, scopes, facts) }));
  }
  const accounts = await readAccounts(graph, connectable, signal);
  return {
    userToken,
    person,
    tokenExpiresAt: facts.expiresAt === undefined ? usualEnd : facts.expiresAt,
    dataAccessExpiresAt: facts.dataAccessExpiresAt ?? null,
    granted: scopes,
    declined: permissions.declined,
    accounts,
  };
}

async function exchange(
  graph: AppContext['graph'],
  given: { code: string; redirectUri: string },
  signal: AbortSignal,
): Promise<string> {
  try {
    return await exchangeCode(graph, given, { signal });
  } catch (error) {
    if (!(error instanceof MetaApiError) || !error.isPermanent) throw error;
    // Used, expired or meant for another address: whatever Meta's code, a new visit brings a new one.
    throw new ConnectError(
      failureOfCall(error, error.action === 'operator' ? 'meta_refused' : 'code_rejected'),
    );
  }
}

/**
 * An account that Meta refuses to show (a role that comes through a business, say) does not keep the others away.
 * @throws MetaApiError when Meta shows none, or may show it to the next try
 */
async function readAccounts(
  graph: AppContext['graph'],
  pages: ConnectablePage[],
  signal: AbortSignal,
): Promise<GrantedAccount[]> {
  const results = await Promise.allSettled(
    pages.map(async (page): Promise<GrantedAccount> => {
      const profile = await fetchInstagramProfile(graph, page.instagram.igUserId, page.pageToken, { signal });
      const username = profile.username ?? page.instagram.username ?? profile.igUserId;
      return { page, pageToken: page.pageToken, profile: { ...profile, username } };
    }),
  );
  const refusals = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as Error] : [],
  );
  const accounts = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const passing = refusals.find((error) => !(error instanceof MetaApiError && error.isPermanent));
  if (passing !== undefined) throw passing;
  const [refusal] = refusals;
  if (accounts.length === 0 && refusal !== undefined) throw refusal;
  return accounts;
}

/** Two Pages never share a professional account, but Meta may list one Page twice. */
function onePerAccount(pages: ConnectablePage[]): ConnectablePage[] {
  return [...new Map(pages.map((page) => [page.instagram.igUserId, page])).values()];
}

/** Line by line, what stands between this login and an account, as far as it can be seen from here. */
function explainNothing(pages: MetaPage[], granted: string[], { targets }: TokenFacts): Finding[] {
  const line = (key: string, state: Finding['state'], page: string | null = null): Finding => ({
    page,
    key,
    state,
  });
  const has = (scope: string) => (granted.includes(scope) ? 'passed' : 'failed');
  const sawAllAccounts = granted.includes('instagram_basic') && targets['instagram_basic'] === undefined;
  return [
    line('pagesPermission', has('pages_show_list')),
    line('instagramPermission', has('instagram_basic')),
    line('pagesTicked', pages.length > 0 ? 'passed' : 'failed'),
    line('businessPermission', granted.includes('business_management') ? 'passed' : 'unknown'),
    line('appMode', 'unknown'),
    ...pages.flatMap((page) => [
      line('pageRole', page.pageToken === null ? 'failed' : 'passed', page.name),
      line('instagramLinked', page.instagram === null ? 'failed' : 'passed', page.name),
      line('instagramTicked', page.instagram !== null || sawAllAccounts ? 'passed' : 'unknown', page.name),
    ]),
  ];
}
