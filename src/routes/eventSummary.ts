import { type TFunction } from 'i18next';
import { type Interaction } from '../meta/interaction';
import { interpret } from '../meta/interpret';
import { type Json, objectOf, text } from '../meta/values';
import { type ListedEvent, payloadStateOf } from '../models/webhookEvents';

const MAX_LENGTH = 140;

/** One line that says in words what an event is about. */
export function summarize(
  t: TFunction,
  event: Pick<ListedEvent, 'eventType' | 'status' | 'payload' | 'igUserId'>,
): string {
  const payloadState = payloadStateOf(event);
  if (payloadState !== 'kept') return t(`summaries:${payloadState}`);
  const interaction = interpret({
    eventType: event.eventType,
    payload: event.payload,
    igUserId: event.igUserId ?? '',
  });
  if (interaction === null) return labelOf(t, event.eventType, objectOf(event.payload));
  const text = wordsFor(t, interaction);
  return interaction.details['standby'] === true ? t('summaries:standby', { text }) : text;
}

/** For what is kept as it came. */
function labelOf(t: TFunction, eventType: string, payload: Json): string {
  switch (eventType) {
    case 'permissions': {
      const isGranted = objectOf(payload['value'])['verb'] === 'granted';
      const permission = shorten(text(payload['field']) ?? '');
      return t(isGranted ? 'summaries:permissionGranted' : 'summaries:permissionRevoked', { permission });
    }
    case 'changed_fields':
      return t('summaries:changedField', { field: shorten(text(payload['changed_field']) ?? '') });
    case 'response_feedback':
      return t('summaries:response_feedback');
    default:
      return t('summaries:raw');
  }
}

function wordsFor(t: TFunction, interaction: Interaction): string {
  const { kind, body, direction, isDeletion, details } = interaction;
  const text = shorten(body ?? '');
  const author = interaction.authorUsername ?? t('summaries:someone');
  switch (kind) {
    case 'comment':
      if (direction === 'out') return t('summaries:ownComment', { text });
      return t(details['live'] === true ? 'summaries:liveComment' : 'summaries:comment', { author, text });
    case 'mention':
      return t(details['place'] === 'caption' ? 'summaries:mentionInCaption' : 'summaries:mention');
    case 'message':
      return messageWords(t, interaction, text);
    case 'reaction':
    case 'page_reaction':
      return isDeletion ? t('summaries:unreacted') : t(`summaries:${kind}`, { text });
    case 'page_post':
    case 'page_comment':
      return isDeletion ? t('summaries:page_removed') : t(`summaries:${kind}`, { text });
    case 'page_visibility':
      return t(details['hidden'] === true ? 'summaries:page_hidden' : 'summaries:page_shown');
    case 'postback':
      return t('summaries:postback', { text });
    case 'seen':
    case 'referral':
    case 'story_insights':
    case 'optin':
    case 'handover':
    case 'policy':
    case 'lead':
      return t(`summaries:${kind}`);
    default:
      return t('summaries:raw');
  }
}

function messageWords(t: TFunction, interaction: Interaction, text: string): string {
  const { body, direction, isDeletion, editNumber, attachments, details } = interaction;
  const own = direction === 'out';
  if (isDeletion) return t('summaries:deleted');
  if (editNumber > 0) return t('summaries:edited', { text });
  if (body !== null) {
    if (details['replyToStory'] !== undefined && !own) return t('summaries:storyReply', { text });
    return t(own ? 'summaries:ownMessage' : 'summaries:message', { text });
  }
  if (attachments.length === 0) return t('summaries:unsupported');
  const types = attachments.map((attachment) => typeWords(t, attachment)).join(', ');
  return t(own ? 'summaries:ownAttachment' : 'summaries:attachment', { types: shorten(types) });
}

/** As in views/partials/attachment-type. */
const ATTACHMENT_TYPES = [
  'image',
  'video',
  'audio',
  'file',
  'ig_post',
  'share',
  'story_mention',
  'story',
  'ig_story',
  'reel',
  'ig_reel',
  'ephemeral',
  'template',
  'fallback',
  'unknown',
];

function typeWords(t: TFunction, attachment: object): string {
  const type = text(objectOf(attachment)['type']) ?? 'unknown';
  return ATTACHMENT_TYPES.includes(type) ? t(`summaries:types.${type}`) : type;
}

/** Whole characters, so that an emoji is not cut in two. */
function shorten(text: string): string {
  const characters = Array.from(text.replaceAll(/\s+/g, ' ').slice(0, MAX_LENGTH * 2));
  return characters.length > MAX_LENGTH
    ? `${characters.slice(0, MAX_LENGTH).join('')}…`
    : characters.join('');
}
