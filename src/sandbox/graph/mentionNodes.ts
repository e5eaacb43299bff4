import { type IgAccount, type Mention } from '../state';
import { type GraphCall } from './call';
import { requirePermission } from './checks';
import { graphTime } from './contentNodes';
import { invalidParameter, missingObject } from './errors';
import { type GraphNode } from './render';

/**
 * Somebody else's comment that names the account: readable through the account alone, never by its own id
 * (meta-platform §4.3).
 */
export function mentionedComment(call: GraphCall, account: IgAccount, id: string | undefined): GraphNode {
  const mention = findMention(call, account, id, 'comment_id', ({ commentId }) => commentId);
  return {
    typeName: 'ShadowIGComment',
    id: mention.commentId ?? '',
    defaults: ['id', 'text'],
    fields: {
      id: () => mention.commentId,
      text: () => mention.text,
      timestamp: () => graphTime(mention.createdAt),
      username: () => usernameOf(call, mention),
      like_count: () => 0,
      media: () => ({ id: mention.mediaId }),
    },
  };
}

/** Somebody else's post whose caption names the account. */
export function mentionedMedia(call: GraphCall, account: IgAccount, id: string | undefined): GraphNode {
  const mention = findMention(call, account, id, 'media_id', ({ mediaId }) => mediaId);
  return {
    typeName: 'ShadowIGMedia',
    id: mention.mediaId,
    defaults: ['id'],
    fields: {
      id: () => mention.mediaId,
      caption: () => (mention.commentId === null ? mention.text : 'A day out'),
      media_type: () => 'IMAGE',
      timestamp: () => graphTime(mention.createdAt),
      username: () => usernameOf(call, mention),
      like_count: () => 0,
      comments_count: () => (mention.commentId === null ? 0 : 1),
    },
  };
}

function findMention(
  call: GraphCall,
  account: IgAccount,
  id: string | undefined,
  argument: string,
  idOf: (mention: Mention) => string | null,
): Mention {
  requirePermission(call, 'instagram_manage_comments', account.id);
  if (id === undefined || id === '') throw invalidParameter(`The parameter ${argument} is required`);
  const mention = call.world.state.mentions.find(
    (known) => known.igAccountId === account.id && idOf(known) === id,
  );
  if (mention === undefined) throw missingObject(id);
  return mention;
}

function usernameOf(call: GraphCall, { customerId }: Mention): string {
  return call.world.state.customers.find(({ id }) => id === customerId)?.username ?? '';
}
