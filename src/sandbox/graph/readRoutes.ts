import { type IgAccount, type Page } from '../state';
import { findIgAccount, pageOfIgAccount } from '../world';
import { type GraphCall } from './call';
import { hasPermission, requirePermission, roleOn } from './checks';
import { commentNode, mediaNode } from './contentNodes';
import { GraphError, missingObject } from './errors';
import { appNode, businessNode, igAccountNode, pageNode, personNode } from './nodes';
import { renderEdge, renderNode, type GraphNode } from './render';
import { type GraphRoute } from './graphHost';

/** Reading any node, and any of its edges. Belongs at the end of a host's table. */
export const readRoutes: GraphRoute[] = [
  { method: 'GET', pattern: '/:id', handle: (call) => renderNode(call, findNode(call)) },
  {
    method: 'GET',
    pattern: '/:id/:edge',
    handle: (call) => renderEdge(call, findNode(call), call.segments['edge'] ?? ''),
  },
];

function findNode(call: GraphCall): GraphNode {
  const id = call.segments['id'] ?? '';
  const node = id === 'me' ? ownNode(call) : otherNode(call, id);
  if (node === null) throw missingObject(id);
  return node;
}

function ownNode(call: GraphCall): GraphNode | null {
  const { state } = call.world;
  if (call.token?.kind === 'APP') {
    throw new GraphError({
      code: 2500,
      message: 'An active access token must be used to query information about the current user.',
    });
  }
  const page = state.pages.find((known) => known.id === call.token?.pageId);
  if (page !== undefined) return pageNode(page);
  const person = state.people.find((known) => known.id === call.token?.subjectId);
  return person === undefined ? null : personNode(person);
}

function otherNode(call: GraphCall, id: string): GraphNode | null {
  const { state } = call.world;
  if (id === state.app.id || id === 'app') return appNode(call.world);
  if (id === call.token?.subjectId && call.token.kind === 'USER') return ownNode(call);

  const page = state.pages.find((known) => known.id === id);
  if (page !== undefined) return readablePage(call, page);
  const business = state.businesses.find((known) => known.id === id);
  if (business !== undefined) {
    requirePermission(call, 'business_management', null);
    const person = state.people.find((known) => known.id === call.token?.subjectId);
    return person?.businessIds.includes(id) === true ? businessNode(business) : null;
  }
  const account = state.igAccounts.find((known) => known.id === id);
  if (account !== undefined) return readableAccount(call, account) ? igAccountNode(account) : null;
  return contentNode(call, id);
}

function contentNode(call: GraphCall, id: string): GraphNode | null {
  const { state } = call.world;
  const media = state.media.find((known) => known.id === id);
  const comment = state.comments.find((known) => known.id === id && !known.deleted);
  const account = findIgAccount(state, media?.igAccountId ?? comment?.igAccountId ?? '');
  if (account === undefined || !readableAccount(call, account)) return null;
  if (media !== undefined) return mediaNode(media);
  if (comment === undefined) return null;
  requirePermission(call, 'instagram_manage_comments', account.id);
  return commentNode(comment);
}

function readablePage(call: GraphCall, page: Page): GraphNode | null {
  const { token } = call;
  if (token === null || token.kind === 'APP') return null;
  requirePermission(call, 'pages_show_list', page.id);
  if (token.kind === 'PAGE') return token.pageId === page.id ? pageNode(page) : null;
  return roleOn(page, token) === undefined ? null : pageNode(page);
}

/** An Instagram account is reached through the Page it is linked to. */
function readableAccount(call: GraphCall, account: IgAccount): boolean {
  const { token, world } = call;
  if (token === null || token.kind === 'APP') return false;
  requirePermission(call, 'instagram_basic', account.id);
  const page = pageOfIgAccount(world.state, account.id);
  if (page === undefined || (token.kind === 'PAGE' && token.pageId !== page.id)) return false;
  const role = roleOn(page, token);
  if (role === undefined) return false;
  const hasAdsPermission = ['ads_read', 'ads_management'].some((name) => hasPermission(call, name, null));
  if (role.viaBusinessManager && !hasAdsPermission) {
    throw new GraphError({
      status: 403,
      code: 200,
      message:
        '(#200) Requires either ads_read or ads_management: the role on the Page comes from a business',
    });
  }
  return true;
}
