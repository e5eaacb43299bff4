/** The samples of Meta's documentation, field by field, as items of one delivery. */
const IG = '17841455500011122';
const CUSTOMER = '1203344556677889';

const item = (timestamp: number | string, content: object, from = CUSTOMER, to = IG) => ({
  sender: { id: from },
  recipient: { id: to },
  timestamp,
  ...content,
});
const say = (timestamp: number | string, message: object) => item(timestamp, { message });
const change = <T extends object>(field: string, value: T) => ({ field, value });

export const SAMPLE_ACCOUNT = IG;
export const SAMPLE_CUSTOMER = CUSTOMER;

export const changes = {
  comment: change('comments', {
    id: '18055512340067890',
    from: { id: CUSTOMER, username: 'lena.demo' },
    media: { id: '17955501234567001', media_product_type: 'FEED' },
    parent_id: '18055512340060000',
    text: 'Are you open on Sunday?',
  }),
  ownComment: change('comments', {
    id: '18055512340067892',
    from: { id: IG, username: 'bar.example', self_ig_scoped_id: '1299' },
    media: { id: '17955501234567001', media_product_type: 'FEED' },
    text: 'We are!',
  }),
  adComment: change('comments', {
    comment_id: '18055512340067894',
    from: { id: CUSTOMER, username: 'lena.demo' },
    media: {
      id: '17955501234567009',
      media_product_type: 'AD',
      ad_id: '120200001112223',
      ad_title: 'Summer',
      original_media_id: '17955501234567001',
    },
    text: 'How much?',
  }),
  liveComment: change('live_comments', {
    id: '18055512340067896',
    from: { id: CUSTOMER, username: 'lena.demo' },
    media: { id: '17955501234567003' },
    text: 'Hi from Oslo',
  }),
  commentMention: change('mentions', { media_id: '17955501234567777', comment_id: '18055512340069999' }),
  captionMention: change('mentions', { media_id: '17955501234567779' }),
  storyInsights: change('story_insights', {
    media_id: '17955501234560001',
    impressions: 60,
    reach: 44,
    taps_forward: 9,
    taps_back: -1,
    exits: 5,
    replies: 0,
  }),
};

export const flatComment = {
  field: 'comments',
  value: {
    id: '18055512340067898',
    from: { username: 'lena.demo' },
    media: { id: '17955501234567001', media_product_type: 'REELS' },
    text: 'Nice',
  },
};

export const messaging = {
  text: say(1795000003123, { mid: 'aWdfEXAMPLE0001', text: 'Hello, do you ship to Norway?' }),
  images: say(1795000004000, {
    mid: 'aWdfEXAMPLE0002',
    attachments: [
      { type: 'image', payload: { url: 'https://lookaside.example/ig/1' } },
      { type: 'image', payload: { url: 'https://lookaside.example/ig/2' } },
    ],
  }),
  storyReply: say(1795000005000, {
    mid: 'aWdfEXAMPLE0003',
    text: 'love it',
    reply_to: { story: { id: '17955501234560001', url: 'https://lookaside.example/story' } },
  }),
  storyMention: say(1795000006000, {
    mid: 'aWdfEXAMPLE0004',
    attachments: [{ type: 'story_mention', payload: { url: 'https://lookaside.example/mention' } }],
  }),
  inlineReply: say(1795000007000, {
    mid: 'aWdfEXAMPLE0005',
    text: 'yes please',
    reply_to: { mid: 'aWdfEXAMPLE0001' },
  }),
  quickReply: say(1795000008000, {
    mid: 'aWdfEXAMPLE0006',
    text: 'Opening hours',
    quick_reply: { payload: 'HOURS' },
  }),
  unsupported: say(1795000009000, { mid: 'aWdfEXAMPLE0007', is_unsupported: true }),
  deletion: say(1795000010000, { mid: 'aWdfEXAMPLE0002', is_deleted: true }),
  echo: item(
    1795000011000,
    { message: { mid: 'aWdfEXAMPLE0008', text: 'We do!', is_echo: true } },
    IG,
    CUSTOMER,
  ),
  self: item(
    1795000011500,
    { message: { mid: 'aWdfEXAMPLE0018', text: 'Note', is_echo: true, is_self: true } },
    IG,
    IG,
  ),
  ad: say(1795000012000, {
    mid: 'aWdfEXAMPLE0009',
    text: 'Hi',
    referral: {
      ref: 'summer',
      ad_id: '120200001112223',
      source: 'ADS',
      type: 'OPEN_THREAD',
      ads_context_data: { ad_title: 'Summer', photo_url: 'https://cdn.example/a.jpg' },
    },
  }),
  sharedPost: say(1795000013000, {
    mid: 'aWdfEXAMPLE0010',
    attachments: [
      {
        type: 'ig_post',
        payload: { ig_post_media_id: '17955501234567001', title: 'Sale', url: 'https://lookaside.example/p' },
      },
    ],
  }),
  oddAttachments: say(1795000014000, {
    mid: 'aWdfEXAMPLE0020',
    attachments: [
      { type: 'ephemeral' },
      { type: 'ig_reel', payload: { reel_video_id: 7001, title: 'Reel', url: 'javascript:alert(1)' } },
      { type: 'template', payload: { generic: { elements: [{ title: 'Card' }] } } },
      { type: 'brand_new', payload: { url: 'https://lookaside.example/n' } },
      'not an attachment',
      {},
    ],
  }),
  react: item(1795000020000, {
    reaction: { mid: 'aWdfEXAMPLE0008', action: 'react', reaction: 'love', emoji: '\u2764\ufe0f' },
  }),
  unreact: item(1795000021000, { reaction: { mid: 'aWdfEXAMPLE0008', action: 'unreact' } }),
  read: item(1795000022000, { read: { mid: 'aWdfEXAMPLE0008' } }),
  readEarlier: item(1795000021900, { read: { mid: 'aWdfEXAMPLE0001' } }),
  postback: item(1795000023000, {
    postback: { mid: 'aWdfEXAMPLE0011', title: 'Track order', payload: 'TRACK' },
  }),
  postbackWithoutId: item('1795000023500', { postback: { title: 'Menu', payload: 'MENU' }, is_self: true }),
  referral: item(1795000024000, {
    referral: { ref: 'flyer-7', source: 'SHORTLINK', type: 'OPEN_THREAD' },
  }),
  edit: item(1795000025000, {
    message_edit: { mid: 'aWdfEXAMPLE0001', text: 'Hello, do you ship to Finland?', num_edit: 1 },
  }),
  secondEdit: item('1795000025500', {
    message_edit: { mid: 'aWdfEXAMPLE0001', text: 'Hello, do you ship to Iceland?', num_edit: '2' },
  }),
  optin: item(1795000026000, {
    optin: {
      type: 'notification_messages',
      payload: 'NEWS',
      title: 'News',
      notification_messages_token: 'demo-token',
      notification_messages_timezone: 'Europe/Oslo',
      token_expiry_timestamp: 1810000000000,
      user_token_status: 'NOT_REFRESHED',
    },
  }),
  policy: {
    recipient: { id: IG },
    timestamp: 1795000027000,
    policy_enforcement: { action: 'warning', reason: 'Too many messages' },
  },
  pass: item(1795000030000, {
    pass_thread_control: {
      previous_owner_app_id: '512004470011223',
      new_owner_app_id: '263902037430900',
      metadata: 'to human',
    },
  }),
  take: item(1795000030100, {
    take_thread_control: { previous_owner_app_id: '263902037430900', new_owner_app_id: 512004470011223 },
  }),
  request: item(1795000030200, {
    request_thread_control: { requested_owner_app_id: '263902037430900', metadata: 'please' },
  }),
  roles: {
    recipient: { id: IG },
    timestamp: 1795000030300,
    app_roles: { '512004470011223': ['primary_receiver'] },
  },
};

/** Items of `standby`: also of what came under `messaging`, with less in it. */
export const standby = {
  message: say(1795000031000, { mid: 'aWdfEXAMPLE0012', text: 'still there?' }),
  again: messaging.text,
  postback: item(1795000023000, { postback: { mid: 'aWdfEXAMPLE0011', title: 'Track order' } }),
};

const PAGE = '104455667788990';
const feed = (value: object) =>
  change('feed', {
    from: { id: '1122334455667788', name: 'Max Demo' },
    post_id: `${PAGE}_1001`,
    created_time: 1795000039,
    ...value,
  });

export const pageChanges = {
  comment: feed({
    item: 'comment',
    verb: 'add',
    comment_id: '1001_2002',
    parent_id: `${PAGE}_1001`,
    message: 'Great',
  }),
  edited: feed({
    item: 'comment',
    verb: 'edited',
    comment_id: '1001_2002',
    parent_id: `${PAGE}_1001`,
    created_time: 1795000045,
    message: 'Greater',
  }),
  hidden: feed({ item: 'comment', verb: 'hide', comment_id: '1001_2002', created_time: 1795000046 }),
  shown: feed({ item: 'comment', verb: 'unhide', comment_id: '1001_2002', created_time: 1795000047 }),
  removed: feed({ item: 'comment', verb: 'remove', comment_id: '1001_2003', created_time: 1795000048 }),
  post: feed({ item: 'status', verb: 'add', from: { id: PAGE, name: 'Bar Example' }, message: 'Open!' }),
  anonymous: change('feed', {
    item: 'photo',
    verb: 'add',
    post_id: `${PAGE}_1002`,
    created_time: 1795000039,
  }),
  like: feed({ item: 'reaction', verb: 'add', reaction_type: 'love', parent_id: `${PAGE}_1001` }),
  unlike: feed({
    item: 'reaction',
    verb: 'remove',
    reaction_type: 'love',
    parent_id: `${PAGE}_1001`,
    created_time: 1795000050,
  }),
  lead: change('leadgen', {
    leadgen_id: 5550001112223,
    page_id: PAGE,
    form_id: 5550001110000,
    adgroup_id: 12020,
    ad_id: 12020,
    created_time: 1795000040,
  }),
};
export const pageMessage = item(
  1795000042000,
  { message: { mid: 'm_EXAMPLE1', text: 'Hi' } },
  '7788990011223344',
  PAGE,
);
export const SAMPLE_PAGE = PAGE;

export const permissionRevoked = {
  object: 'permissions',
  entry: [
    {
      id: '10225550001112223',
      uid: '10225550001112223',
      time: 1795000050,
      changes: [change('instagram_manage_comments', { verb: 'revoked', target_ids: [IG] })],
    },
  ],
};
export const nameChanged = {
  object: 'user',
  entry: [{ id: '10225550001112223', uid: '10225550001112223', time: 1795000051, changed_fields: ['name'] }],
};
