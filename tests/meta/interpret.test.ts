import { interpret } from '../../src/meta/interpret';
import { readDelivery } from '../../src/meta/webhookPayload';
import {
  changes,
  flatComment,
  messaging,
  nameChanged,
  pageChanges,
  pageMessage,
  permissionRevoked,
  SAMPLE_ACCOUNT as IG,
  SAMPLE_CUSTOMER as CUSTOMER,
  SAMPLE_PAGE as PAGE,
  standby,
} from '../support/samples';

/** What each item of a delivery means, the way it goes through intake. */
function meanings(delivery: object) {
  return readDelivery(Buffer.from(JSON.stringify(delivery))).items.map(({ object, eventType, payload }) => ({
    eventType,
    ...interpret({ object, eventType, payload: JSON.parse(payload!) as unknown, igUserId: IG }),
  }));
}
const entry = (more: object, object = 'instagram', id = IG) => ({
  object,
  entry: [{ id, time: 1795000001, ...more }],
});
const ofChange = (item: object) => meanings(entry({ changes: [item] }))[0];
const ofMessaging = (item: object) => meanings(entry({ messaging: [item] }))[0];
const ofStandby = (item: object) => meanings(entry({ standby: [item] }))[0];
const ofPage = (item: object) => meanings(entry({ changes: [item] }, 'page', PAGE))[0];

const FROM_CUSTOMER = { direction: 'in', authorId: CUSTOMER, threadId: CUSTOMER };

describe('a comment', () => {
  it('knows its author, text, post and what it answers', () => {
    expect(ofChange(changes.comment)).toEqual({
      eventType: 'comments',
      kind: 'comment',
      externalId: '18055512340067890',
      threadId: '17955501234567001',
      parentExternalId: '18055512340060000',
      direction: 'in',
      authorId: CUSTOMER,
      authorUsername: 'lena.demo',
      body: 'Are you open on Sunday?',
      attachments: [],
      details: { mediaProductType: 'FEED' },
      editNumber: 0,
      isDeletion: false,
    });
  });

  it('of the account itself is outgoing, also when only its scoped id tells', () => {
    expect(ofChange(changes.ownComment)).toMatchObject({ direction: 'out' });
    const value = { ...changes.ownComment.value, from: { id: '99', self_ig_scoped_id: '1299' } };
    expect(ofChange({ ...changes.ownComment, value })).toMatchObject({ direction: 'out' });
  });

  it('on an ad names it, and may call its id otherwise', () => {
    expect(ofChange(changes.adComment)).toMatchObject({
      externalId: '18055512340067894',
      details: {
        mediaProductType: 'AD',
        adId: '120200001112223',
        adTitle: 'Summer',
        originalMediaId: '17955501234567001',
      },
    });
  });

  it('during a broadcast says so', () => {
    expect(ofChange(changes.liveComment)).toMatchObject({
      eventType: 'live_comments',
      kind: 'comment',
      details: { live: true },
    });
  });

  it('on the entry itself is the same, with or without the author’s id', () => {
    expect(meanings(entry(flatComment))[0]).toMatchObject({
      kind: 'comment',
      externalId: '18055512340067898',
      authorId: null,
      authorUsername: 'lena.demo',
      body: 'Nice',
    });
  });
});

describe('a mention', () => {
  it('in a comment and in a caption are two things', () => {
    expect(ofChange(changes.commentMention)).toMatchObject({
      kind: 'mention',
      externalId: '17955501234567777:18055512340069999',
      threadId: '17955501234567777',
      parentExternalId: '18055512340069999',
      details: { place: 'comment' },
    });
    expect(ofChange(changes.captionMention)).toMatchObject({
      externalId: '17955501234567779:-',
      parentExternalId: null,
      details: { place: 'caption' },
    });
  });
});

it('figures of a story are kept as they came, "fewer than five" too', () => {
  expect(ofChange(changes.storyInsights)).toMatchObject({
    kind: 'story_insights',
    externalId: '17955501234560001',
    details: { impressions: 60, reach: 44, taps_forward: 9, taps_back: -1, exits: 5, replies: 0 },
  });
  // Meta's own example of this field is a postback by mistake.
  expect(ofChange({ field: 'story_insights', value: messaging.postback })).toEqual({
    eventType: 'story_insights',
  });
});

describe('a message', () => {
  it.each<[keyof typeof messaging, object]>([
    [
      'text',
      { body: 'Hello, do you ship to Norway?', externalId: 'aWdfEXAMPLE0001', attachments: [], details: {} },
    ],
    [
      'images',
      {
        body: null,
        attachments: [
          { type: 'image', url: 'https://lookaside.example/ig/1', expires: true },
          { type: 'image', url: 'https://lookaside.example/ig/2', expires: true },
        ],
      },
    ],
    [
      'storyReply',
      { body: 'love it', parentExternalId: null, details: { replyToStory: '17955501234560001' } },
    ],
    ['storyMention', { body: null, attachments: [{ type: 'story_mention' }] }],
    ['inlineReply', { body: 'yes please', parentExternalId: 'aWdfEXAMPLE0001' }],
    ['quickReply', { body: 'Opening hours', details: { quickReply: 'HOURS' } }],
    ['unsupported', { body: null, details: { unsupported: true } }],
    ['deletion', { externalId: 'aWdfEXAMPLE0002', isDeletion: true }],
    [
      'ad',
      {
        body: 'Hi',
        details: {
          referral: {
            ref: 'summer',
            source: 'ADS',
            type: 'OPEN_THREAD',
            adId: '120200001112223',
            adTitle: 'Summer',
          },
        },
      },
    ],
    [
      'sharedPost',
      {
        attachments: [
          {
            type: 'ig_post',
            title: 'Sale',
            mediaId: '17955501234567001',
            url: 'https://lookaside.example/p',
            expires: true,
          },
        ],
      },
    ],
    [
      'oddAttachments',
      {
        attachments: [
          { type: 'ephemeral' },
          { type: 'ig_reel', title: 'Reel', reelId: '7001' },
          { type: 'template', title: 'Card' },
          { type: 'brand_new', url: 'https://lookaside.example/n', expires: true },
          { type: 'unknown' },
        ],
      },
    ],
  ])('of a customer: %s', (name, expected) => {
    const found = ofMessaging(messaging[name]);
    expect(found).toMatchObject({ eventType: 'messages', kind: 'message', ...FROM_CUSTOMER });
    for (const [key, value] of Object.entries(expected)) expect(found).toHaveProperty(key, value);
  });

  it('of the account is outgoing, in the customer’s thread', () => {
    expect(ofMessaging(messaging.echo)).toMatchObject({
      eventType: 'message_echoes',
      kind: 'message',
      externalId: 'aWdfEXAMPLE0008',
      direction: 'out',
      threadId: CUSTOMER,
      authorId: IG,
    });
    expect(ofMessaging(messaging.self)).toMatchObject({
      direction: 'out',
      threadId: IG,
      details: { self: true },
    });
  });

  it('is edited under its own id, and the number may be text', () => {
    expect(ofMessaging(messaging.edit)).toMatchObject({
      eventType: 'message_edit',
      kind: 'message',
      externalId: 'aWdfEXAMPLE0001',
      body: 'Hello, do you ship to Finland?',
      editNumber: 1,
      ...FROM_CUSTOMER,
    });
    expect(ofMessaging(messaging.secondEdit)).toMatchObject({ editNumber: 2 });
  });
});

describe('other items of a conversation', () => {
  const id = `${CUSTOMER}:17950000`;
  it.each<[keyof typeof messaging, string, object]>([
    [
      'react',
      'message_reactions',
      {
        kind: 'reaction',
        externalId: `aWdfEXAMPLE0008:${CUSTOMER}`,
        body: '❤️',
        details: { reaction: 'love' },
        isDeletion: false,
      },
    ],
    ['unreact', 'message_reactions', { kind: 'reaction', body: null, details: {}, isDeletion: true }],
    ['read', 'messaging_seen', { kind: 'seen', externalId: CUSTOMER, parentExternalId: 'aWdfEXAMPLE0008' }],
    [
      'postback',
      'messaging_postbacks',
      { kind: 'postback', externalId: 'aWdfEXAMPLE0011', body: 'Track order', details: { payload: 'TRACK' } },
    ],
    [
      'postbackWithoutId',
      'messaging_postbacks',
      { kind: 'postback', externalId: `${id}23500`, body: 'Menu', details: { payload: 'MENU', self: true } },
    ],
    [
      'referral',
      'messaging_referral',
      {
        kind: 'referral',
        externalId: `${id}24000:referral`,
        body: 'flyer-7',
        details: { ref: 'flyer-7', source: 'SHORTLINK', type: 'OPEN_THREAD' },
      },
    ],
    [
      'optin',
      'messaging_optins',
      {
        kind: 'optin',
        externalId: `${id}26000:optin`,
        body: 'News',
        details: {
          type: 'notification_messages',
          payload: 'NEWS',
          timezone: 'Europe/Oslo',
          status: 'NOT_REFRESHED',
          endsAt: '2027-05-11T01:46:40.000Z',
        },
      },
    ],
    [
      'policy',
      'messaging_policy_enforcement',
      {
        kind: 'policy',
        externalId: '-:1795000027000:policy_enforcement',
        body: 'Too many messages',
        details: { action: 'warning' },
      },
    ],
    [
      'pass',
      'messaging_handover',
      {
        kind: 'handover',
        externalId: `${id}30000:pass_thread_control`,
        body: 'to human',
        details: {
          change: 'pass_thread_control',
          previousOwner: '512004470011223',
          newOwner: '263902037430900',
        },
      },
    ],
    [
      'take',
      'messaging_handover',
      {
        details: {
          change: 'take_thread_control',
          previousOwner: '263902037430900',
          newOwner: '512004470011223',
        },
      },
    ],
    [
      'request',
      'messaging_handover',
      { body: 'please', details: { change: 'request_thread_control', requestedOwner: '263902037430900' } },
    ],
    [
      'roles',
      'messaging_handover',
      {
        kind: 'handover',
        details: { change: 'app_roles', roles: { '512004470011223': ['primary_receiver'] } },
      },
    ],
  ])('%s', (name, eventType, expected) => {
    const found = ofMessaging(messaging[name]);
    expect(found).toMatchObject({ eventType });
    for (const [key, value] of Object.entries(expected)) expect(found).toHaveProperty([key], value);
  });

  it('without the moment that would name them are kept raw', () => {
    expect(ofMessaging({ sender: { id: CUSTOMER }, referral: { ref: 'x' } })).toEqual({
      eventType: 'messaging_referral',
    });
  });

  it('that nobody has documented are kept raw under their name', () => {
    expect(ofMessaging({ sender: { id: '1' }, response_feedback: { feedback: 'Good' } })).toEqual({
      eventType: 'response_feedback',
    });
    expect(ofMessaging({ sender: { id: '1' }, delivery: { watermark: 1 } })).toEqual({
      eventType: 'message_deliveries',
    });
    expect(ofMessaging({ sender: { id: '1' }, future_event: {} })).toEqual({ eventType: 'unknown' });
    expect(ofChange({ field: 'future_field', value: { a: 1 } })).toEqual({ eventType: 'future_field' });
  });
});

describe('standby', () => {
  it('holds the same items, marked', () => {
    expect(ofStandby(standby.message)).toMatchObject({
      eventType: 'standby',
      kind: 'message',
      body: 'still there?',
      details: { standby: true },
      ...FROM_CUSTOMER,
    });
    expect(ofStandby(standby.postback)).toMatchObject({ kind: 'postback', details: { standby: true } });
  });

  it('is a second event of a message that came under messaging too', () => {
    const keys = readDelivery(
      Buffer.from(JSON.stringify(entry({ messaging: [messaging.text], standby: [standby.again] }))),
    ).items.map(({ dedupeKey }) => dedupeKey);
    expect(new Set(keys).size).toBe(2);
  });
});

describe('the object page', () => {
  it.each<[keyof typeof pageChanges, object]>([
    [
      'comment',
      {
        kind: 'page_comment',
        externalId: '1001_2002',
        threadId: `${PAGE}_1001`,
        parentExternalId: `${PAGE}_1001`,
        authorUsername: 'Max Demo',
        body: 'Great',
        direction: 'in',
        editNumber: 0,
      },
    ],
    ['edited', { kind: 'page_comment', body: 'Greater', editNumber: 295000045 }],
    ['hidden', { kind: 'page_visibility', externalId: '1001_2002', details: { hidden: true } }],
    ['shown', { kind: 'page_visibility', details: { hidden: false } }],
    ['removed', { kind: 'page_comment', externalId: '1001_2003', isDeletion: true }],
    ['post', { kind: 'page_post', direction: 'out', body: 'Open!', details: { item: 'status' } }],
    ['anonymous', { kind: 'page_post', authorId: null, direction: 'in' }],
    ['like', { kind: 'page_reaction', externalId: `${PAGE}_1001:1122334455667788`, body: 'love' }],
    ['unlike', { kind: 'page_reaction', isDeletion: true }],
    [
      'lead',
      {
        kind: 'lead',
        externalId: '5550001112223',
        threadId: '5550001110000',
        details: { adId: '12020', adgroupId: '12020' },
      },
    ],
  ])('%s', (name, expected) => {
    expect(ofPage(pageChanges[name])).toMatchObject(expected);
  });

  it('has messages of its own, which are not Instagram’s', () => {
    expect(meanings(entry({ messaging: [pageMessage] }, 'page', PAGE))[0]).toMatchObject({
      kind: 'message',
      externalId: 'm_EXAMPLE1',
      details: { channel: 'messenger' },
    });
  });

  it('keeps two people apart who react in the same second, and two edits of one comment', () => {
    const other = { ...pageChanges.like, value: { ...pageChanges.like.value, from: { id: '7' } } };
    const again = { ...pageChanges.edited, value: { ...pageChanges.edited.value, message: 'Greatest' } };
    const items = [pageChanges.like, other, pageChanges.edited, again];
    const delivery = entry({ changes: items }, 'page', PAGE);
    const keys = readDelivery(Buffer.from(JSON.stringify(delivery))).items.map(({ dedupeKey }) => dedupeKey);
    expect(new Set(keys).size).toBe(4);
  });
});

describe('the objects permissions and user', () => {
  it('are kept and labelled', () => {
    expect(meanings(permissionRevoked)).toEqual([{ eventType: 'permissions' }]);
    expect(meanings(nameChanged)).toEqual([{ eventType: 'changed_fields' }]);
  });

  it('tell the same change of another day apart', () => {
    const at = (delivery: typeof nameChanged | typeof permissionRevoked, time: number) =>
      readDelivery(
        Buffer.from(JSON.stringify({ ...delivery, entry: delivery.entry.map((one) => ({ ...one, time })) })),
      ).items[0]?.dedupeKey;
    for (const delivery of [nameChanged, permissionRevoked])
      expect(at(delivery, 1795000051)).not.toBe(at(delivery, 1795090051));
  });

  it('may name the person by uid alone', () => {
    const [item] = readDelivery(
      Buffer.from('{"object":"user","entry":[{"uid":"10225","time":1,"changed_fields":["name"]}]}'),
    ).items;
    expect(item?.entryId).toBe('10225');
  });
});

describe('the Test button', () => {
  it('sends messages as changes, with text for a time', () => {
    const value = {
      sender: { id: '12334' },
      recipient: { id: '23245' },
      timestamp: '1527459824',
      message: { mid: 'random_mid', text: 'random_text' },
    };
    const body = {
      object: 'instagram',
      entry: [{ id: '0', time: 1, changes: [{ field: 'messages', value }] }],
    };
    expect(meanings(body)).toMatchObject([
      { kind: 'message', externalId: 'random_mid', body: 'random_text' },
    ]);
    const [item] = readDelivery(Buffer.from(JSON.stringify(body))).items;
    expect(item).toMatchObject({ isTest: true, occurredAt: new Date(1527459824000) });
    expect(meanings({ field: 'messages', value })).toMatchObject([{ kind: 'message', body: 'random_text' }]);
  });
});

it('nothing of any shape makes it throw', () => {
  const odd = [null, 0, '', 'x', [], {}, [null], { id: {} }, { id: [] }, true];
  for (const eventType of [
    'comments',
    'mentions',
    'messages',
    'feed',
    'leadgen',
    'standby',
    'story_insights',
    'x',
  ])
    for (const value of odd)
      for (const payload of [
        value,
        { field: eventType, value },
        { message: value },
        { postback: value, timestamp: value },
      ])
        expect(() => interpret({ eventType, payload, igUserId: IG })).not.toThrow();
});
