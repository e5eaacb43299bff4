import { type Comment, type Media } from '../state';
import { type GraphCall } from './call';
import { Connection, type GraphNode } from './render';

export function mediaNode(media: Media): GraphNode {
  return {
    typeName: 'IGMedia',
    id: media.id,
    defaults: ['id'],
    fields: {
      id: () => media.id,
      caption: () => media.caption,
      media_type: () => media.mediaType,
      media_product_type: () => media.productType,
      media_url: (call) => `${call.world.url}/cdn/${media.id}.jpg`,
      permalink: () => `https://www.instagram.com/p/${Buffer.from(media.id).toString('base64url')}/`,
      timestamp: () => graphTime(media.createdAt),
      like_count: () => media.likes,
      comments_count: (call) => commentsOn(call, media.id).length,
      owner: () => ({ id: media.igAccountId }),
      username: (call) => usernameOf(call, media.igAccountId),
      comments: (call) => {
        const topLevel = commentsOn(call, media.id).filter(({ parentId }) => parentId === null);
        return new Connection(media.id, 'comments', topLevel.map(commentNode));
      },
    },
  };
}

export function commentNode(comment: Comment): GraphNode {
  return {
    typeName: 'IGComment',
    id: comment.id,
    defaults: ['id', 'text', 'timestamp'],
    fields: {
      id: () => comment.id,
      text: () => comment.text,
      timestamp: () => graphTime(comment.createdAt),
      username: (call) => authorOf(call, comment).username,
      from: (call) => authorOf(call, comment),
      media: () => ({ id: comment.mediaId }),
      parent_id: () => comment.parentId ?? undefined,
      hidden: () => comment.hidden,
      like_count: () => comment.likes,
      replies: (call) => {
        const replies = commentsOn(call, comment.mediaId).filter(({ parentId }) => parentId === comment.id);
        return new Connection(comment.id, 'replies', replies.map(commentNode));
      },
    },
  };
}

/** `2026-11-18T11:06:41+0000`, without a colon in the offset. */
export function graphTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}+0000`;
}

function commentsOn(call: GraphCall, mediaId: string): Comment[] {
  return call.world.state.comments.filter((comment) => comment.mediaId === mediaId && !comment.deleted);
}

function authorOf(call: GraphCall, comment: Comment): { id: string; username: string } {
  const customer = call.world.state.customers.find(({ id }) => id === comment.customerId);
  if (customer === undefined) {
    return { id: comment.igAccountId, username: usernameOf(call, comment.igAccountId) };
  }
  return { id: customer.igsids[comment.igAccountId] ?? '', username: customer.username };
}

function usernameOf(call: GraphCall, igAccountId: string): string {
  return call.world.state.igAccounts.find(({ id }) => id === igAccountId)?.username ?? '';
}
