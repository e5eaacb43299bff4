import { isObject } from './values';

/** direct: what the event says is all that is needed. graph: Meta must be asked for the rest. */
export type Lane = 'direct' | 'graph';

/**
 * Which way an event goes. A mention only names ids; a comment may come without its author, its text or its media,
 * which its id leads to.
 */
export function laneOf(eventType: string, payload: unknown): Lane {
  if (eventType === 'mentions') return 'graph';
  if (eventType !== 'comments' && eventType !== 'live_comments') return 'direct';
  const value = isObject(payload) ? payload['value'] : null;
  if (!isObject(value) || (value['id'] ?? value['comment_id']) === undefined) return 'direct';
  const { from, media, text } = value;
  const hasAuthor = isObject(from) && (isFilled(from['id']) || isFilled(from['username']));
  const hasMedia = isObject(media) && isFilled(media['id']);
  // An empty text is a text: a comment may be a picture.
  return hasAuthor && hasMedia && typeof text === 'string' ? 'direct' : 'graph';
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}
