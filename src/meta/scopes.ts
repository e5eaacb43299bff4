export interface Scope {
  name: string;
  /** What is missing without it, as the key `accounts:scope.<purpose>`. */
  purpose: 'profile' | 'pages' | 'webhooks' | 'comments' | 'messages' | 'businessPages';
  /** Without it the connection works only in part. */
  isNeeded: boolean;
  /** Asked for only when the person tries again: most people do not need it, and each scope frightens some away. */
  onlyOnRetry: boolean;
}

/** What the Facebook dialog is asked for. @see https://developers.facebook.com/docs/permissions */
export const FACEBOOK_SCOPES: readonly Scope[] = [
  { name: 'instagram_basic', purpose: 'profile', isNeeded: true, onlyOnRetry: false },
  { name: 'pages_show_list', purpose: 'pages', isNeeded: true, onlyOnRetry: false },
  { name: 'pages_read_engagement', purpose: 'pages', isNeeded: true, onlyOnRetry: false },
  { name: 'pages_manage_metadata', purpose: 'webhooks', isNeeded: true, onlyOnRetry: false },
  { name: 'instagram_manage_comments', purpose: 'comments', isNeeded: true, onlyOnRetry: false },
  { name: 'instagram_manage_messages', purpose: 'messages', isNeeded: true, onlyOnRetry: false },
  // Since v17 Pages of a business portfolio stay hidden without it.
  { name: 'business_management', purpose: 'businessPages', isNeeded: false, onlyOnRetry: true },
];

/** The scopes a connection needs and the person did not grant, in the order of the list. */
export function missingScopes(granted: readonly string[]): string[] {
  return FACEBOOK_SCOPES.filter(({ name, isNeeded }) => isNeeded && !granted.includes(name)).map(
    ({ name }) => name,
  );
}

/**
 * The field the app is installed on a Page with. Any one makes Meta send what the app subscribed to for Instagram, so
 * this is the quietest one (Page events need a subscription of the app to the object `page` as well).
 * @see https://developers.facebook.com/docs/instagram-platform/webhooks
 */
export const PAGE_WEBHOOK_FIELDS: readonly string[] = ['feed'];

/**
 * The fields of the object `instagram` that the app is to be subscribed to in Meta's dashboard, as the README lists them.
 * What is missing here never arrives, for any account.
 */
export const INSTAGRAM_WEBHOOK_FIELDS: readonly string[] = [
  'comments',
  'live_comments',
  'mentions',
  'messages',
  'message_reactions',
  'message_edit',
  'messaging_postbacks',
  'messaging_referral',
  'messaging_seen',
  'story_insights',
];
