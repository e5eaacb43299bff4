import { type TFunction } from 'i18next';
import { type Interaction, interpret } from '../meta/interpret';
import { type ListedEvent } from '../models/webhookEvents';

const MAX_LENGTH = 140;

/** One line that says in words what an event is about. */
export function summarize(
  t: TFunction,
  event: Pick<ListedEvent, 'eventType' | 'payload' | 'igUserId'>,
): string {
  if (event.payload === null || event.payload === undefined) return t('summaries:unreadable');
  const interaction = interpret({
    eventType: event.eventType,
    payload: event.payload,
    igUserId: event.igUserId ?? '',
  });
  return interaction === null ? t('summaries:raw') : wordsFor(t, interaction);
}

function wordsFor(t: TFunction, interaction: Interaction): string {
  const { kind, body, direction, isDeletion, editNumber, attachments } = interaction;
  const text = shorten(body ?? '');
  const own = direction === 'out';
  switch (kind) {
    case 'comment':
      return t(own ? 'summaries:ownComment' : 'summaries:comment', {
        author: interaction.authorUsername ?? t('summaries:someone'),
        text,
      });
    case 'message': {
      if (isDeletion) return t('summaries:deleted');
      if (editNumber > 0) return t('summaries:edited', { text });
      if (body !== null) return t(own ? 'summaries:ownMessage' : 'summaries:message', { text });
      if (attachments.length === 0) return t('summaries:unsupported');
      const types = attachments.map((attachment) => attachmentType(attachment)).join(', ');
      return t(own ? 'summaries:ownAttachment' : 'summaries:attachment', { types: shorten(types) });
    }
    case 'reaction':
      return isDeletion ? t('summaries:unreacted') : t('summaries:reaction', { text });
    case 'postback':
      return t('summaries:postback', { text });
    case 'mention':
    case 'seen':
    case 'referral':
    case 'story_insights':
    case 'optin':
    case 'handover':
      return t(`summaries:${kind}`);
    default:
      return t('summaries:raw');
  }
}

function attachmentType(attachment: object): string {
  return 'type' in attachment && typeof attachment.type === 'string' ? attachment.type : '?';
}

/** Whole characters, so that an emoji is not cut in two. */
function shorten(text: string): string {
  const characters = Array.from(text.replaceAll(/\s+/g, ' ').slice(0, MAX_LENGTH * 2));
  return characters.length > MAX_LENGTH
    ? `${characters.slice(0, MAX_LENGTH).join('')}…`
    : characters.join('');
}
