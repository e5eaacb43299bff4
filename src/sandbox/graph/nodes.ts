import { type Business, type IgAccount, type Page, type Person } from '../state';
import { type World } from '../world';
import { type GraphCall } from './call';
import { findGrant, hasPermission, isGranted, roleOn } from './checks';
import { mediaNode } from './contentNodes';
import { mentionedComment, mentionedMedia } from './mentionNodes';
import { GraphError } from './errors';
import { pageTokenFor } from './issueTokens';
import { Connection, type GraphNode } from './render';

export function personNode(person: Person): GraphNode {
  return {
    typeName: 'User',
    id: person.id,
    defaults: ['id', 'name'],
    fields: {
      id: () => person.id,
      name: () => person.name,
      first_name: () => person.name.split(' ')[0],
      last_name: () => person.name.split(' ').slice(1).join(' '),
      picture: (call) => ({ data: { url: pictureUrl(call, person.id), is_silhouette: false } }),
      accounts: (call) => new Connection(person.id, 'accounts', visiblePages(call, person).map(pageNode)),
      businesses: (call) => new Connection(person.id, 'businesses', businessesOf(call, person)),
      permissions: (call) => ({ data: permissionsOf(call) }),
    },
  };
}

export function pageNode(page: Page): GraphNode {
  return {
    typeName: 'Page',
    id: page.id,
    defaults: ['id', 'name'],
    fields: {
      id: () => page.id,
      name: () => page.name,
      category: () => page.category,
      access_token: (call) => pageAccessToken(call, page),
      tasks: (call) => (call.token === null ? undefined : roleOn(page, call.token)?.tasks),
      link: () => `https://www.facebook.com/${page.id}`,
      picture: (call) => ({ data: { url: pictureUrl(call, page.id), is_silhouette: false } }),
      instagram_business_account: (call) => linkedAccount(call, page),
      connected_instagram_account: (call) => linkedAccount(call, page),
      business: (call) => {
        const business = call.world.state.businesses.find(({ id }) => id === page.businessId);
        return business === undefined ? undefined : businessNode(business);
      },
    },
  };
}

export function igAccountNode(account: IgAccount): GraphNode {
  return {
    typeName: 'IGUser',
    id: account.id,
    defaults: ['id'],
    fields: {
      id: () => account.id,
      username: () => account.username,
      name: () => account.name,
      biography: () => account.biography || undefined,
      website: () => account.website || undefined,
      profile_picture_url: (call) => pictureUrl(call, account.id),
      has_profile_pic: () => true,
      is_published: () => true,
      followers_count: () => account.followers,
      follows_count: () => account.follows,
      media_count: (call) => mediaOf(call, account).length,
      mentioned_comment: (call, { args }) => mentionedComment(call, account, args['comment_id']),
      mentioned_media: (call, { args }) => mentionedMedia(call, account, args['media_id']),
      media: (call) => new Connection(account.id, 'media', mediaOf(call, account).map(mediaNode)),
      stories: (call) => new Connection(account.id, 'stories', storiesOf(call, account).map(mediaNode)),
    },
  };
}

export function businessNode(business: Business): GraphNode {
  const pagesOf = (call: GraphCall) =>
    call.world.state.pages.filter((page) => page.businessId === business.id).map(pageNode);
  return {
    typeName: 'Business',
    id: business.id,
    defaults: ['id', 'name'],
    fields: {
      id: () => business.id,
      name: () => business.name,
      owned_pages: (call) => new Connection(business.id, 'owned_pages', pagesOf(call)),
      client_pages: () => new Connection(business.id, 'client_pages', []),
    },
  };
}

export function appNode(world: World): GraphNode {
  const { app } = world.state;
  return {
    typeName: 'Application',
    id: app.id,
    defaults: ['id', 'name'],
    fields: {
      id: () => app.id,
      name: () => app.name,
      category: () => 'Business',
      link: () => new URL(app.redirectUris[0] ?? app.webhookUrl).origin,
    },
  };
}

/** Pages the person picked for the app; those of a business only with `business_management` (v17). */
function visiblePages(call: GraphCall, person: Person): Page[] {
  return call.world.state.pages.filter((page) => {
    const hasRole = page.roles.some(({ personId }) => personId === person.id);
    if (!hasRole || !hasPermission(call, 'pages_show_list', page.id)) return false;
    if (page.businessId === null) return true;
    return person.businessIds.includes(page.businessId) && hasPermission(call, 'business_management', null);
  });
}

function businessesOf(call: GraphCall, person: Person): GraphNode[] {
  if (!hasPermission(call, 'business_management', null)) return [];
  return call.world.state.businesses.filter(({ id }) => person.businessIds.includes(id)).map(businessNode);
}

function permissionsOf(call: GraphCall): object[] {
  const grant = call.token === null ? undefined : findGrant(call.world.state, call.token);
  return Object.entries(grant?.permissions ?? {}).map(([permission, { status }]) => ({ permission, status }));
}

function pageAccessToken(call: GraphCall, page: Page): string | undefined {
  const { token, world } = call;
  if (token === null || token.kind === 'APP') return undefined;
  if (token.kind === 'PAGE') return token.pageId === page.id ? token.value : undefined;
  return pageTokenFor(world, token, page).value;
}

function linkedAccount(call: GraphCall, page: Page): GraphNode | undefined {
  const account = call.world.state.igAccounts.find(({ id }) => id === page.igAccountId);
  if (account === undefined || call.token === null) return undefined;
  const grant = findGrant(call.world.state, call.token);
  if (grant === undefined || !isGranted(grant, 'instagram_basic', account.id)) return undefined;
  if (!hasPermission(call, 'instagram_basic', account.id)) throw dataAccessExpired();
  return igAccountNode(account);
}

/** Meta's code for this is not known: 10 is assumed (meta-platform §9). */
function dataAccessExpired(): GraphError {
  return new GraphError({ code: 10, message: "(#10) The app's access to the person's data has expired" });
}

function mediaOf(call: GraphCall, account: IgAccount) {
  const own = call.world.state.media.filter(({ igAccountId }) => igAccountId === account.id);
  return own.filter(({ productType }) => productType !== 'STORY').sort((a, b) => b.createdAt - a.createdAt);
}

const STORY_LIFE_MS = 24 * 3_600_000;

function storiesOf(call: GraphCall, account: IgAccount) {
  const bornAfter = call.world.now() - STORY_LIFE_MS;
  return call.world.state.media.filter(
    (media) =>
      media.igAccountId === account.id && media.productType === 'STORY' && media.createdAt > bornAfter,
  );
}

const PICTURE_LIFE_SECONDS = 3 * 24 * 3600;

/** A signed CDN address of the real kind: it stops working after some days. */
function pictureUrl(call: GraphCall, id: string): string {
  const expires = Math.floor(call.world.now() / 1000) + PICTURE_LIFE_SECONDS;
  return `${call.world.url}/cdn/${id}.jpg?oe=${expires.toString(16)}`;
}
