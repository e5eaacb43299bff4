import { z } from 'zod';
import { type GraphClient } from './client';
import { MetaApiError } from './errors';
import { type CallOptions, IdSchema, type TokenFacts } from './facebookLogin';

/** A Facebook Page as the person's token sees it. */
export interface MetaPage {
  pageId: string;
  name: string;
  category: string | null;
  /** What the person may do on it, without the prefix newer Pages put before it: MANAGE, MODERATE, MESSAGING … */
  tasks: string[];
  /** Null when Meta gives none: the person's role does not reach. */
  pageToken: string | null;
  /** Null when no professional account is linked, or the person did not tick it. */
  instagram: { igUserId: string; username: string | null } | null;
}

export interface InstagramProfile {
  igUserId: string;
  username: string | null;
  name: string | null;
  /** A signed address of Meta's that stops working after some days. */
  profilePictureUrl: string | null;
  followersCount: number | null;
  mediaCount: number | null;
}

const PAGE_FIELDS = 'id,name,access_token,tasks,category,instagram_business_account{id,username}';

const PageSchema = z
  .object({
    id: IdSchema,
    name: z.string().catch(''),
    category: z.string().nullable().catch(null),
    tasks: z.array(z.string()).catch([]),
    access_token: z.string().min(1).nullable().catch(null),
    instagram_business_account: z
      .object({ id: IdSchema, username: z.string().nullable().catch(null) })
      .nullable()
      .catch(null),
  })
  .transform((page): MetaPage => ({
    pageId: page.id,
    name: page.name || page.id,
    category: page.category,
    tasks: page.tasks.map((task) => task.replace('PROFILE_PLUS_', '')),
    pageToken: page.access_token,
    instagram:
      page.instagram_business_account === null
        ? null
        : {
            igUserId: page.instagram_business_account.id,
            username: page.instagram_business_account.username,
          },
  }));

/**
 * Every Page the person allowed us to see, each once. Pages of a business portfolio may be missing from the plain list,
 * so those ticked in the dialog are fetched by id, and those of the person's businesses where the scope allows.
 * @throws MetaApiError when the plain list fails; a fall-back that fails adds nothing
 */
export async function listPages(
  graph: GraphClient,
  token: string,
  { targets, scopes }: Pick<TokenFacts, 'targets'> & { scopes: readonly string[] },
  options: CallOptions = {},
): Promise<MetaPage[]> {
  const found = new Map<string, MetaPage>();
  const add = (pages: MetaPage[]) => {
    for (const page of pages) if (!found.has(page.pageId)) found.set(page.pageId, page);
  };
  add(await listAll(graph, token, '/me/accounts', PageSchema, PAGE_FIELDS, options));
  const ticked = (targets['pages_show_list'] ?? []).filter((pageId) => !found.has(pageId)).slice(0, 50);
  for (const pageId of ticked) add(await orNothing(fetchPage(graph, token, pageId, options)));
  if (![...found.values()].some(isConnectable) && scopes.includes('business_management')) {
    add(await orNothing(listBusinessPages(graph, token, options)));
  }
  return [...found.values()];
}

/** A Page with everything a connection needs. */
export interface ConnectablePage extends MetaPage {
  pageToken: string;
  instagram: NonNullable<MetaPage['instagram']>;
}

export function isConnectable(page: MetaPage): page is ConnectablePage {
  return page.pageToken !== null && page.instagram !== null;
}

async function fetchPage(
  graph: GraphClient,
  token: string,
  pageId: string,
  { signal }: CallOptions,
): Promise<MetaPage[]> {
  return [
    await graph.get({
      path: `/${pageId}`,
      params: { fields: PAGE_FIELDS },
      token,
      schema: PageSchema,
      signal,
    }),
  ];
}

async function listBusinessPages(
  graph: GraphClient,
  token: string,
  options: CallOptions,
): Promise<MetaPage[]> {
  const businesses = await listAll(graph, token, '/me/businesses', z.object({ id: IdSchema }), 'id', options);
  const pages: MetaPage[] = [];
  for (const { id } of businesses.slice(0, 20)) {
    for (const edge of ['owned_pages', 'client_pages']) {
      pages.push(
        ...(await orNothing(listAll(graph, token, `/${id}/${edge}`, PageSchema, PAGE_FIELDS, options))),
      );
    }
  }
  return pages;
}

const MOST_LIST_PAGES = 50;

/**
 * Follows the cursors to the end. Meta's `next` address holds the token and could point anywhere, so only whether it is
 * there counts; the next request is our own.
 */
async function listAll<T>(
  graph: GraphClient,
  token: string,
  path: string,
  item: z.ZodType<T>,
  fields: string,
  { signal }: CallOptions,
): Promise<T[]> {
  const schema = z.object({
    data: z.array(item),
    paging: z
      .object({ next: z.string().optional(), cursors: z.object({ after: z.string().optional() }).optional() })
      .optional(),
  });
  const items: T[] = [];
  const seen = new Set<string>();
  let after: string | undefined;
  do {
    const params = { fields, limit: '100', ...(after === undefined ? {} : { after }) };
    const answer = await graph.get({ path, params, token, schema, signal });
    items.push(...answer.data);
    after = answer.paging?.next === undefined ? undefined : answer.paging.cursors?.after;
    if (after === undefined || seen.has(after)) break;
    seen.add(after);
  } while (seen.size < MOST_LIST_PAGES);
  return items;
}

async function orNothing<T>(work: Promise<T[]>): Promise<T[]> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof MetaApiError) return [];
    throw error;
  }
}

const ProfileSchema = z.object({
  id: IdSchema,
  username: z.string().min(1).nullable().catch(null),
  name: z.string().nullable().catch(null),
  profile_picture_url: z.string().nullable().catch(null),
  followers_count: z.int().nullable().catch(null),
  media_count: z.int().nullable().catch(null),
});

/** @throws MetaApiError */
export async function fetchInstagramProfile(
  graph: GraphClient,
  igUserId: string,
  pageToken: string,
  { signal }: CallOptions = {},
): Promise<InstagramProfile> {
  const params = { fields: 'id,username,name,profile_picture_url,followers_count,media_count' };
  const profile = await graph.get({
    path: `/${igUserId}`,
    params,
    token: pageToken,
    schema: ProfileSchema,
    signal,
  });
  return {
    igUserId: profile.id,
    username: profile.username,
    name: profile.name,
    profilePictureUrl: profile.profile_picture_url,
    followersCount: profile.followers_count,
    mediaCount: profile.media_count,
  };
}
