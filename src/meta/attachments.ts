import { isObject, type Json, objectOf, present, text } from './values';

const MOST_ATTACHMENTS = 50;
/** Their media must be neither stored nor kept beyond being shown: not even an address stays. */
const STORIES: ReadonlySet<string> = new Set(['story_mention', 'story', 'ig_story']);

/**
 * What a message carries, in its order: type, title and ids. An address is of Meta's CDN and dies within days, which
 * `expires` says: it is no link to show and nothing to rely on.
 */
export function readAttachments(value: unknown): object[] {
  return Array.isArray(value) ? value.filter(isObject).slice(0, MOST_ATTACHMENTS).map(readAttachment) : [];
}

function readAttachment(attachment: Json): object {
  const type = text(attachment['type']) ?? 'unknown';
  const payload = objectOf(attachment['payload']);
  const url = STORIES.has(type) ? null : webAddress(payload['url'] ?? attachment['url']);
  return present({
    type,
    title: text(payload['title']) ?? text(attachment['title']) ?? templateTitle(payload),
    mediaId: text(payload['ig_post_media_id']),
    reelId: text(payload['reel_video_id']),
    stickerId: text(payload['sticker_id']),
    url,
    expires: url !== null,
  });
}

/** Templates are what an app sent: a card with a title. */
function templateTitle(payload: Json): string | null {
  const elements = objectOf(payload['generic'])['elements'];
  return Array.isArray(elements) ? text(objectOf(elements[0])['title']) : null;
}

function webAddress(value: unknown): string | null {
  return typeof value === 'string' && /^https?:\/\//i.test(value) ? value : null;
}
