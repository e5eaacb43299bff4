import { z } from 'zod';
import { type GraphClient } from './client';
import { type MetaApiError } from './errors';
import { type CallOptions, IdSchema } from './facebookLogin';

/** What the Graph API tells of a comment or a post; null where it says nothing. */
export interface Content {
  text: string | null;
  authorId: string | null;
  authorUsername: string | null;
  mediaId: string | null;
  parentId: string | null;
  mediaType: string | null;
  writtenAt: Date | null;
}

/** Neither NUL nor half a surrogate pair can be stored as text. */
const TextSchema = z
  .string()
  .min(1)
  .transform((value) => value.replace(/\0|\p{Surrogate}/gu, '\ufffd'))
  .nullable()
  .catch(null);
const IdOrNullSchema = IdSchema.nullable().catch(null);
const NodeSchema = z.object({ id: IdOrNullSchema }).catch({ id: null });

const ContentSchema = z
  .object({
    text: TextSchema,
    caption: TextSchema,
    username: TextSchema,
    from: z.object({ id: IdOrNullSchema, username: TextSchema }).catch({ id: null, username: null }),
    media: NodeSchema,
    parent_id: IdOrNullSchema,
    media_type: TextSchema,
    timestamp: TextSchema,
  })
  .transform((node): Content => ({
    text: node.text ?? node.caption,
    authorId: node.from.id,
    authorUsername: node.username ?? node.from.username,
    mediaId: node.media.id,
    parentId: node.parent_id,
    mediaType: node.media_type,
    writtenAt: readTime(node.timestamp),
  }));

/** `2026-11-18T11:06:41+0000`: Meta leaves the colon out of the offset. */
function readTime(value: string | null): Date | null {
  const at = new Date(value?.replace(/([+-]\d\d)(\d\d)$/, '$1:$2') ?? NaN);
  return Number.isNaN(at.getTime()) ? null : at;
}

/**
 * A comment under the account's own media.
 * @throws MetaApiError
 * @see https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/comments
 */
export function fetchComment(
  graph: GraphClient,
  commentId: string,
  token: string,
  { signal }: CallOptions = {},
): Promise<Content> {
  const params = { fields: 'id,text,timestamp,username,from,media,parent_id' };
  return graph.get({ path: `/${commentId}`, params, token, schema: ContentSchema, signal });
}

interface Mentioned {
  igUserId: string;
  token: string;
}

/**
 * A comment in which the account was mentioned, under anybody's media: its own id leads nowhere.
 * @returns null when Meta answers without it
 * @throws MetaApiError
 * @see https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/mentioned_comment
 */
export async function fetchMentionedComment(
  graph: GraphClient,
  { igUserId, token, commentId }: Mentioned & { commentId: string },
  { signal }: CallOptions = {},
): Promise<Content | null> {
  const params = {
    fields: `mentioned_comment.comment_id(${commentId}){text,timestamp,username,media}`,
  };
  const schema = z.object({ mentioned_comment: ContentSchema.nullable().catch(null) });
  const answer = await graph.get({ path: `/${igUserId}`, params, token, schema, signal });
  return answer.mentioned_comment;
}

/**
 * A post in whose caption the account was mentioned.
 * @returns null when Meta answers without it
 * @throws MetaApiError
 * @see https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/mentioned_media
 */
export async function fetchMentionedMedia(
  graph: GraphClient,
  { igUserId, token, mediaId }: Mentioned & { mediaId: string },
  { signal }: CallOptions = {},
): Promise<Content | null> {
  const params = {
    fields: `mentioned_media.media_id(${mediaId}){caption,media_type,timestamp,username}`,
  };
  const schema = z.object({ mentioned_media: ContentSchema.nullable().catch(null) });
  const answer = await graph.get({ path: `/${igUserId}`, params, token, schema, signal });
  return answer.mentioned_media;
}

/**
 * True when Meta says that what was asked about does not exist, or not for this account: deleted, made private, or of
 * somebody who blocked it. A bare 100 is a fault of the question and is not meant.
 * @see meta-platform §2.2; https://developers.facebook.com/documentation/instagram-platform/instagram-graph-api/reference/error-codes
 */
export function isGone({ action, code, subcode }: MetaApiError): boolean {
  return action === 'reject' && (code === 24 || (code === 100 && subcode !== null));
}
