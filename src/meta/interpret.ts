import { type Interaction, NOTHING } from './interaction';
import { messagingItem } from './interpretMessaging';
import { feedItem, lead } from './interpretPage';
import { isObject, type Json, objectOf, present, text } from './values';

export interface InterpretedEvent {
  /** instagram, page …; Instagram's when left out. */
  object?: string | null;
  eventType: string;
  payload: unknown;
  /** The connected account's own Instagram id: what it says itself is outgoing. */
  igUserId: string;
}

/** Null when the event is understood to say nothing, or is of a kind that is kept and shown raw. */
export function interpret(event: InterpretedEvent): Interaction | null {
  if (!isObject(event.payload)) return null;
  const value = isObject(event.payload['value']) ? event.payload['value'] : null;
  switch (event.eventType) {
    case 'comments':
    case 'live_comments':
      return value && comment(event, value);
    case 'mentions':
      return value && mention(value);
    case 'story_insights':
      return value && storyInsights(value);
    case 'feed':
      return value && feedItem(value);
    case 'leadgen':
      return value && lead(value);
    case 'permissions':
    case 'changed_fields':
      return null;
    default:
      return messagingItem(value !== null && 'field' in event.payload ? value : event.payload, {
        ownId: event.igUserId,
        isStandby: event.eventType === 'standby',
        isPage: event.object === 'page',
      });
  }
}

/** @see https://developers.facebook.com/docs/instagram-platform/webhooks/examples */
function comment({ eventType, igUserId }: InterpretedEvent, value: Json): Interaction | null {
  const id = text(value['id']) ?? text(value['comment_id']);
  if (id === null) return null;
  const from = objectOf(value['from']);
  const media = objectOf(value['media']);
  const authorId = text(from['id']);
  return {
    ...NOTHING,
    kind: 'comment',
    externalId: id,
    threadId: text(media['id']),
    parentExternalId: text(value['parent_id']),
    direction: authorId === igUserId || from['self_ig_scoped_id'] !== undefined ? 'out' : 'in',
    authorId,
    authorUsername: text(from['username']),
    body: text(value['text']),
    details: present({
      live: eventType === 'live_comments',
      mediaProductType: text(media['media_product_type']),
      adId: text(media['ad_id']),
      adTitle: text(media['ad_title']),
      originalMediaId: text(media['original_media_id']),
    }),
  };
}

/** The ids are of somebody else's media: what was said there is known to the Graph API alone. */
function mention(value: Json): Interaction | null {
  const mediaId = text(value['media_id']);
  if (mediaId === null) return null;
  const commentId = text(value['comment_id']);
  return {
    ...NOTHING,
    kind: 'mention',
    externalId: `${mediaId}:${commentId ?? '-'}`,
    threadId: mediaId,
    parentExternalId: commentId,
    details: { place: commentId === null ? 'caption' : 'comment' },
  };
}

/** Counts as they came; -1 is Meta's way to say "fewer than five". */
function storyInsights(value: Json): Interaction | null {
  const mediaId = text(value['media_id']);
  if (mediaId === null) return null;
  const figures = Object.entries(value).filter(([name]) => name !== 'media_id');
  return {
    ...NOTHING,
    kind: 'story_insights',
    externalId: mediaId,
    threadId: mediaId,
    details: Object.fromEntries(figures.filter(([, count]) => typeof count === 'number')),
  };
}
