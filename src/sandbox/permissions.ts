/** What the Facebook Login dialog may be asked for, with the sentence its consent page shows. */
export const FACEBOOK_PERMISSIONS: Record<string, string> = {
  public_profile: 'Your name and profile picture',
  email: 'Your e-mail address',
  pages_show_list: 'Show a list of the Pages you manage',
  pages_read_engagement: 'Read content posted on your Pages',
  pages_manage_metadata: 'Manage settings and webhooks of your Pages',
  pages_messaging: 'Manage and access conversations of your Pages',
  pages_read_user_content: 'Read what people write on your Pages',
  pages_manage_engagement: 'Manage comments on your Pages',
  pages_manage_posts: 'Create and manage posts of your Pages',
  business_management: 'Manage your business portfolio',
  instagram_basic: 'Read profile and media of your Instagram accounts',
  instagram_manage_comments: 'Read and manage comments on your Instagram accounts',
  instagram_manage_messages: 'Read and manage messages of your Instagram accounts',
  instagram_manage_insights: 'Read insights of your Instagram accounts',
  instagram_content_publish: 'Publish on your Instagram accounts',
  instagram_manage_contents: 'Delete media of your Instagram accounts',
  instagram_manage_engagement: 'Like as your Instagram accounts',
  ads_read: 'Read statistics of your ads',
  ads_management: 'Manage your ads',
  leads_retrieval: 'Read leads of your ads',
  read_insights: 'Read insights of your Pages',
};

/** Permissions that go on working when the 90 days of data access are over (meta-platform §1.5). */
export const EXEMPT_FROM_DATA_ACCESS_EXPIRY = new Set([
  'ads_read',
  'ads_management',
  'business_management',
  'pages_manage_ads',
  'pages_manage_cta',
  'pages_manage_engagement',
  'pages_manage_metadata',
  'pages_manage_posts',
  'pages_messaging',
  'pages_read_engagement',
  'pages_read_user_content',
  'pages_show_list',
  'read_insights',
]);

/** Webhook fields of object `instagram`, with the permission each needs by login flow (meta-platform §4.1). */
export const INSTAGRAM_FIELDS: Record<string, { facebook: string; instagram: string }> = {
  comments: comments(),
  live_comments: comments(),
  mentions: comments(),
  story_insights: { facebook: 'instagram_manage_insights', instagram: 'instagram_business_manage_insights' },
  messages: messages(),
  message_echoes: messages(),
  message_edit: messages(),
  message_reactions: messages(),
  messaging_postbacks: messages(),
  messaging_referral: messages(),
  messaging_seen: messages(),
  messaging_handover: messages(),
  messaging_optins: messages(),
  standby: messages(),
};

export const PAGE_FIELDS = [
  'feed',
  'mention',
  'name',
  'messages',
  'message_reads',
  'message_deliveries',
  'message_echoes',
  'message_reactions',
  'messaging_postbacks',
  'messaging_referrals',
  'messaging_handovers',
  'messaging_optins',
  'standby',
  'leadgen',
];

function comments() {
  return { facebook: 'instagram_manage_comments', instagram: 'instagram_business_manage_comments' };
}

function messages() {
  return { facebook: 'instagram_manage_messages', instagram: 'instagram_business_manage_messages' };
}
