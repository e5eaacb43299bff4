import { z } from 'zod';
import { type MetaConfig } from '../config';
import { type GraphClient } from './client';
import { FACEBOOK_SCOPES } from './scopes';

/** Numbers and strings alike: Meta writes ids both ways. */
export const IdSchema = z.union([z.string(), z.number()]).transform(String).pipe(z.string().regex(/^\d+$/));

/** Tells what every call here may be given to end it early. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

interface Dialog {
  state: string;
  redirectUri: string;
  /**
   * `rerequest` asks again for what was declined before, and for the scopes most people do not need; `reauthorize` renews
   * the 90 days in which the person's data may be read.
   */
  authType: 'rerequest' | 'reauthorize' | null;
}

/** @see https://developers.facebook.com/documentation/facebook-login/guides/advanced/manual-flow */
export function facebookDialogUrl(meta: MetaConfig, { state, redirectUri, authType }: Dialog): string {
  const scopes = FACEBOOK_SCOPES.filter(({ onlyOnRetry }) => authType === 'rerequest' || !onlyOnRetry);
  const url = new URL(`${meta.dialogBase}/${meta.graphVersion}/dialog/oauth`);
  url.search = new URLSearchParams({
    client_id: meta.appId,
    redirect_uri: redirectUri,
    state,
    response_type: 'code',
    scope: scopes.map(({ name }) => name).join(','),
    ...(authType === null ? {} : { auth_type: authType }),
  }).toString();
  return url.toString();
}

const TokenSchema = z.object({ access_token: z.string().min(1).max(10_000) });

/** Ten years: far beyond what Meta gives, and below what a date can hold. */
const LONGEST_LIFE_SECONDS = 10 * 365 * 86_400;
const lifeSeconds = z.int().positive().max(LONGEST_LIFE_SECONDS);

/**
 * Swaps the code for a user token of an hour or two. A code works once, so the call is made once.
 * @param redirectUri byte for byte what the dialog was given
 * @throws MetaApiError; start again at the dialog
 */
export async function exchangeCode(
  graph: GraphClient,
  { code, redirectUri }: { code: string; redirectUri: string },
  { signal }: CallOptions = {},
): Promise<string> {
  const params = { ...graph.appCredentials, redirect_uri: redirectUri, code };
  const answer = await graph.get({
    path: '/oauth/access_token',
    params,
    schema: TokenSchema,
    signal,
    isRepeatable: false,
  });
  return answer.access_token;
}

const LongLivedTokenSchema = TokenSchema.extend({ expires_in: lifeSeconds.nullable().catch(null) });

/**
 * Swaps a short user token for one of about 60 days; `debugToken` knows best when it ends.
 * @returns `expiresInSeconds` counts from now; null when Meta does not say
 * @throws MetaApiError
 */
export async function exchangeForLongLived(
  graph: GraphClient,
  token: string,
  { signal }: CallOptions = {},
): Promise<{ token: string; expiresInSeconds: number | null }> {
  const answer = await graph.get({
    path: '/oauth/access_token',
    params: exchangeParams(graph, token),
    schema: LongLivedTokenSchema,
    signal,
  });
  return { token: answer.access_token, expiresInSeconds: answer.expires_in };
}

const RenewedTokenSchema = z.object({
  access_token: z.string().trim().min(1).max(10_000),
  expires_in: lifeSeconds,
});

/**
 * Exchanges a long-lived token again, once. Meta may answer a new token, the same one with its remaining time, or an
 * error. Anything but a token and a plausible number of seconds counts as a failure: the old token is then the better one.
 * @returns `expiresInSeconds` counts from now
 * @throws MetaApiError; when its action is `reconnect`, the person has to log in at Meta again
 */
export async function renewLongLived(
  graph: GraphClient,
  token: string,
  { signal }: CallOptions = {},
): Promise<{ token: string; expiresInSeconds: number }> {
  const answer = await graph.get({
    path: '/oauth/access_token',
    params: exchangeParams(graph, token),
    schema: RenewedTokenSchema,
    signal,
    isRepeatable: false,
  });
  return { token: answer.access_token, expiresInSeconds: answer.expires_in };
}

function exchangeParams(graph: GraphClient, token: string): Record<string, string> {
  return { ...graph.appCredentials, grant_type: 'fb_exchange_token', fb_exchange_token: token };
}

/** What Meta knows about a token. Instants are null for never, and undefined when Meta did not say. */
export interface TokenFacts {
  appId: string | null;
  isValid: boolean;
  expiresAt: Date | null | undefined;
  dataAccessExpiresAt: Date | null | undefined;
  /** Undefined when Meta did not say. */
  scopes: string[] | undefined;
  /** Ids of the Pages and Instagram accounts ticked in the dialog, by scope; a scope that reaches all is absent. */
  targets: Record<string, string[]>;
  /** Why it is not valid, in the words of the 190 subcodes; null when Meta does not say. */
  subcode: number | null;
}

/** 0 stands for never; nothing, and nonsense, for not knowing. */
const instant = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)])
  .pipe(z.int().min(0).max(8_640_000_000))
  .transform((seconds) => (seconds === 0 ? null : new Date(seconds * 1000)))
  .optional()
  .catch(undefined);

const DebugTokenSchema = z.object({
  data: z.object({
    app_id: IdSchema.nullable().catch(null),
    is_valid: z.boolean(),
    expires_at: instant,
    data_access_expires_at: instant,
    scopes: z.array(z.string()).optional().catch(undefined),
    granular_scopes: z
      .array(z.object({ scope: z.string(), target_ids: z.array(IdSchema).optional() }))
      .catch([]),
    error: z
      .object({ subcode: z.coerce.number().int().nullable().catch(null) })
      .nullable()
      .catch(null),
  }),
});

/** Asks Meta about a token with the app's own. @throws MetaApiError when Meta cannot say, not for a dead token */
export async function debugToken(
  graph: GraphClient,
  token: string,
  { signal }: CallOptions = {},
): Promise<TokenFacts> {
  const params = { input_token: token };
  const answer = await graph.get({
    path: '/debug_token',
    params,
    token: graph.appToken,
    schema: DebugTokenSchema,
    signal,
  });
  const { data } = answer;
  return {
    appId: data.app_id,
    isValid: data.is_valid,
    expiresAt: data.expires_at,
    dataAccessExpiresAt: data.data_access_expires_at,
    scopes: data.scopes,
    targets: Object.fromEntries(
      data.granular_scopes.flatMap(({ scope, target_ids }) =>
        target_ids === undefined ? [] : [[scope, target_ids]],
      ),
    ),
    subcode: data.error?.subcode ?? null,
  };
}

const MeSchema = z.object({ id: IdSchema, name: z.string().nullable().catch(null) });

/** The person behind a user token, under their app-scoped id. @throws MetaApiError */
export function fetchMe(
  graph: GraphClient,
  token: string,
  { signal }: CallOptions = {},
): Promise<{ id: string; name: string | null }> {
  return graph.get({ path: '/me', params: { fields: 'id,name' }, token, schema: MeSchema, signal });
}

const PermissionsSchema = z.object({
  data: z.array(z.object({ permission: z.string(), status: z.string() })),
});

/** What the person granted and declined (or let expire). @throws MetaApiError */
export async function fetchPermissions(
  graph: GraphClient,
  token: string,
  { signal }: CallOptions = {},
): Promise<{ granted: string[]; declined: string[] }> {
  const { data } = await graph.get({ path: '/me/permissions', token, schema: PermissionsSchema, signal });
  const names = (isGranted: boolean) =>
    data.filter(({ status }) => (status === 'granted') === isGranted).map(({ permission }) => permission);
  return { granted: names(true), declined: names(false) };
}

/** True for every spelling of success Meta's pages show. */
const SuccessSchema = z
  .union([z.boolean(), z.object({ success: z.union([z.boolean(), z.literal('true'), z.literal('false')]) })])
  .transform((answer) => (typeof answer === 'boolean' ? answer : String(answer.success) === 'true'));

/**
 * Takes all permissions of this person away from the app: every token of theirs dies, in all connections.
 * @throws MetaApiError
 */
export async function revokeAllPermissions(
  graph: GraphClient,
  token: string,
  { signal }: CallOptions = {},
): Promise<void> {
  await graph.delete({ path: '/me/permissions', token, schema: SuccessSchema, signal });
}

/** Installs the app on a Page, from which Instagram's events then come. @throws MetaApiError */
export async function installApp(
  graph: GraphClient,
  page: { pageId: string; pageToken: string; fields: readonly string[] },
  { signal }: CallOptions = {},
): Promise<void> {
  await graph.post({
    path: `/${page.pageId}/subscribed_apps`,
    params: { subscribed_fields: page.fields.join(',') },
    token: page.pageToken,
    schema: SuccessSchema,
    signal,
  });
}

const InstalledAppsSchema = z.object({
  data: z.array(z.object({ id: IdSchema, subscribed_fields: z.array(z.string()).catch([]) })),
});

/** The fields our app is installed with on a Page; empty when it is not. @throws MetaApiError */
export async function readInstalledFields(
  graph: GraphClient,
  page: { pageId: string; pageToken: string },
  { signal }: CallOptions = {},
): Promise<string[]> {
  const path = `/${page.pageId}/subscribed_apps`;
  const { data } = await graph.get({ path, token: page.pageToken, schema: InstalledAppsSchema, signal });
  return data.find(({ id }) => id === graph.appId)?.subscribed_fields ?? [];
}

/** @throws MetaApiError */
export async function uninstallApp(
  graph: GraphClient,
  page: { pageId: string; pageToken: string },
  { signal }: CallOptions = {},
): Promise<void> {
  const path = `/${page.pageId}/subscribed_apps`;
  await graph.delete({ path, token: page.pageToken, schema: SuccessSchema, signal });
}

const AppSubscriptionsSchema = z.object({
  data: z.array(
    z.object({
      object: z.string(),
      active: z.boolean().catch(true),
      fields: z.array(z.object({ name: z.string() })).catch([]),
    }),
  ),
});

/**
 * The Instagram fields the app itself is subscribed to; null when Meta lists no subscription for `instagram`, which
 * says little: those made in the dashboard may be missing from this edge.
 * @throws MetaApiError
 */
export async function readAppFields(
  graph: GraphClient,
  { signal }: CallOptions = {},
): Promise<string[] | null> {
  const path = `/${graph.appId}/subscriptions`;
  const { data } = await graph.get({ path, token: graph.appToken, schema: AppSubscriptionsSchema, signal });
  const subscription = data.find(({ object, active }) => object === 'instagram' && active);
  return subscription?.fields.map(({ name }) => name) ?? null;
}
