import { type Interaction, NOTHING } from './interaction';
import { instantOf, type Json, objectOf, present, text } from './values';

/**
 * One change of a Page's feed: a post, a comment or a reaction that was added, edited or removed, or hidden and shown
 * again. Null for what belongs to neither, like somebody's "like" of the Page itself.
 * @see https://developers.facebook.com/docs/graph-api/webhooks/reference/page/#feed
 */
export function feedItem(value: Json): Interaction | null {
  const verb = text(value['verb']);
  const item = text(value['item']);
  const postId = text(value['post_id']);
  const commentId = text(value['comment_id']);
  const subject = commentId ?? postId;
  if (verb === null || subject === null) return null;
  const from = objectOf(value['from']);
  const authorId = text(from['id']);
  const base = {
    ...NOTHING,
    threadId: postId,
    // A post's id begins with its Page's.
    direction:
      authorId !== null && postId?.startsWith(`${authorId}_`) === true ? ('out' as const) : ('in' as const),
    authorId,
    authorUsername: text(from['name']),
  };
  if (verb === 'hide' || verb === 'unhide') {
    const details = { hidden: verb === 'hide' };
    return { ...base, kind: 'page_visibility', externalId: subject, parentExternalId: subject, details };
  }
  if (item === 'reaction' || item === 'like') return pageReaction(base, value, subject, verb);
  if (item === 'comment' && commentId === null) return null;
  return {
    ...base,
    kind: item === 'comment' ? 'page_comment' : 'page_post',
    externalId: subject,
    parentExternalId: item === 'comment' ? text(value['parent_id']) : null,
    body: text(value['message']),
    details: present({ item: item === 'comment' ? null : item }),
    editNumber: verb === 'edit' || verb === 'edited' ? editNumberAt(value['created_time']) : 0,
    isDeletion: verb === 'remove',
  };
}

function pageReaction(
  base: Omit<Interaction, 'kind' | 'externalId'>,
  value: Json,
  subject: string,
  verb: string,
): Interaction | null {
  if (base.authorId === null) return null;
  return {
    ...base,
    kind: 'page_reaction',
    externalId: `${subject}:${base.authorId}`,
    parentExternalId: subject,
    body: text(value['reaction_type']) ?? text(value['item']),
    isDeletion: verb === 'remove',
  };
}

const EDITS_COUNT_FROM_SECONDS = 1_500_000_000;

/** Meta does not number these edits; the later one gets the higher number. */
function editNumberAt(createdTime: unknown): number {
  const seconds = (instantOf(createdTime)?.getTime() ?? 0) / 1000;
  return Math.max(1, Math.floor(seconds) - EDITS_COUNT_FROM_SECONDS);
}

/** Somebody filled in a form; the answers are to be asked for with `leads_retrieval`. */
export function lead(value: Json): Interaction | null {
  const id = text(value['leadgen_id']);
  if (id === null) return null;
  return {
    ...NOTHING,
    kind: 'lead',
    externalId: id,
    threadId: text(value['form_id']),
    details: present({ adId: text(value['ad_id']), adgroupId: text(value['adgroup_id']) }),
  };
}
