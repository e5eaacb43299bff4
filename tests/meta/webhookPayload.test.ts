import { instantOf } from '../../src/meta/values';
import { readDelivery } from '../../src/meta/webhookPayload';

const IG = '17841455500011122';
const read = (value: unknown) => readDelivery(Buffer.from(JSON.stringify(value)));
const entry = (more: object) => ({ object: 'instagram', entry: [{ id: IG, time: 1795000001, ...more }] });
const keysOf = (value: unknown) => read(value).items.map(({ dedupeKey }) => dedupeKey);
const messaging = (...items: object[]) =>
  entry({
    messaging: items.map((item) => ({
      sender: { id: '12' },
      recipient: { id: IG },
      timestamp: 1795000003123,
      ...item,
    })),
  });

describe('readDelivery', () => {
  it('reads every entry and every item of changes, messaging and standby', () => {
    const { items } = read({
      object: 'instagram',
      entry: [
        {
          id: IG,
          changes: [
            { field: 'comments', value: { id: '1' } },
            { field: 'mentions', value: { media_id: '2' } },
          ],
        },
        {
          id: '17841455500099999',
          messaging: [{ message: { mid: 'm1' } }],
          standby: [{ message: { mid: 'm2' } }],
        },
      ],
    });
    expect(items.map(({ entryId, eventType }) => `${entryId} ${eventType}`)).toEqual([
      `${IG} comments`,
      `${IG} mentions`,
      '17841455500099999 messages',
      '17841455500099999 standby',
    ]);
  });

  it('reads a field that stands on the entry itself, with the same key as in changes', () => {
    const value = { id: '18055512340067890', text: 'Nice' };
    expect(keysOf(entry({ field: 'comments', value }))).toEqual(
      keysOf(entry({ changes: [{ field: 'comments', value }] })),
    );
  });

  it('keeps changed_fields, unknown fields and entries without items', () => {
    expect(read(entry({ changed_fields: ['name'] })).items).toMatchObject([{ eventType: 'changed_fields' }]);
    expect(read(entry({ changes: [{ field: 'brand_new', value: {} }] })).items).toMatchObject([
      { eventType: 'brand_new' },
    ]);
    expect(read(entry({})).items).toMatchObject([{ eventType: 'unknown', entryId: IG }]);
    expect(read({ object: 'instagram', entry: [null, 'text', 7] }).items).toHaveLength(3);
  });

  it('marks the Test button and never merges what it sends', () => {
    const test = {
      object: 'instagram',
      entry: [
        { id: '0', time: 1, changes: [{ field: 'messages', value: { message: { mid: 'random_mid' } } }] },
      ],
    };
    const [first] = read(test).items;
    const [second] = read(test).items;
    expect(first).toMatchObject({ isTest: true, eventType: 'messages' });
    expect(first?.dedupeKey).not.toBe(second?.dedupeKey);
    expect(read({ field: 'comments', value: { id: '1' } }).items).toMatchObject([
      { isTest: true, eventType: 'comments' },
    ]);
  });

  it.each([
    ['not_json', '{"object":"instagram","entry":[{"id":"178'],
    ['not_json', ''],
    ['not_a_notification', '[]'],
    ['not_a_notification', '1'],
    ['not_a_notification', 'null'],
    ['not_a_notification', '""'],
    ['not_a_notification', '{"entry":{}}'],
    ['no_entries', '{"object":"instagram","entry":[]}'],
    ['too_deep', '['.repeat(500_000)],
    [
      'too_deep',
      `{"object":"instagram","entry":[{"id":"1","changes":${'['.repeat(5000)}${']'.repeat(5000)}}]}`,
    ],
  ])('keeps what it cannot read as one item: %s', (parseError, body) => {
    const delivery = readDelivery(Buffer.from(body));
    expect(delivery.parseError).toBe(parseError);
    expect(delivery.items).toMatchObject([{ eventType: 'unreadable', payload: null, problem: parseError }]);
  });

  it.each([
    ['a NUL in a value', String.raw`{"id":"1","text":"a\u0000b"}`],
    ['a NUL in a key', String.raw`{"id":"1","a\u0000":"b"}`],
    ['a lone high surrogate', String.raw`{"id":"1","text":"\ud83d"}`],
    ['a lone low surrogate', String.raw`{"id":"1","text":"\udc00"}`],
  ])('does not hand jsonb %s', (_name, value) => {
    const { items } = readDelivery(
      Buffer.from(
        `{"object":"instagram","entry":[{"id":"${IG}","changes":[{"field":"comments","value":${value}}]}]}`,
      ),
    );
    expect(items).toMatchObject([{ payload: null, problem: 'unparseable', eventType: 'comments' }]);
  });

  it('hands on text that only looks like such an escape, and real emoji', () => {
    const { items } = read(
      entry({
        changes: [
          { field: 'comments', value: { id: '1', text: String.raw`\u0000 and \ud83d` } },
          { field: 'comments', value: { id: '2', text: '😀' } },
        ],
      }),
    );
    expect(items.map(({ problem }) => problem)).toEqual([null, null]);
  });

  it('keeps every digit of a long id, and pollutes nothing', () => {
    const body = `{"object":"instagram","entry":[{"id":17841405822304914999,"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"changes":[{"field":"comments","value":{"id":"1","__proto__":{"polluted":1}}}]}]}`;
    const { items } = readDelivery(Buffer.from(body));
    expect(items[0]?.entryId).toBe('17841405822304914999');
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe('the dedupe key', () => {
  it.each([
    ['comment', entry({ changes: [{ field: 'comments', value: { id: '9' } }] }), `instagram:${IG}:comment:9`],
    [
      'live comment',
      entry({ changes: [{ field: 'live_comments', value: { id: '9' } }] }),
      `instagram:${IG}:comment:9`,
    ],
    [
      'mention in a caption',
      entry({ changes: [{ field: 'mentions', value: { media_id: '3' } }] }),
      `instagram:${IG}:mention:3:-`,
    ],
    [
      'story insights',
      entry({ changes: [{ field: 'story_insights', value: { media_id: '3' } }] }),
      `instagram:${IG}:story:3:1795000001`,
    ],
    ['message', messaging({ message: { mid: 'm' } }), `instagram:${IG}:msg:m`],
    ['deletion', messaging({ message: { mid: 'm', is_deleted: true } }), `instagram:${IG}:msgdel:m`],
    ['edit', messaging({ message_edit: { mid: 'm', num_edit: '2' } }), `instagram:${IG}:msgedit:m:2`],
    [
      'reaction',
      messaging({ reaction: { mid: 'm', action: 'react' } }),
      `instagram:${IG}:react:m:12:react:1795000003123`,
    ],
    ['seen', messaging({ read: { mid: 'm' } }), `instagram:${IG}:seen:12:m`],
    ['postback', messaging({ postback: { mid: 'm', payload: 'P' } }), `instagram:${IG}:pb:m`],
    [
      'postback without an id',
      messaging({ postback: { payload: 'P' } }),
      `instagram:${IG}:pb:12:1795000003123:P`,
    ],
    ['referral', messaging({ referral: { ref: 'r' } }), `instagram:${IG}:ref:12:1795000003123:r`],
    [
      'handover',
      messaging({ pass_thread_control: {} }),
      `instagram:${IG}:ho:12:1795000003123:pass_thread_control`,
    ],
  ])('of a %s is its natural one', (_name, body, key) => {
    expect(keysOf(body)).toEqual([key]);
  });

  it('does not depend on the order of keys or on when Meta sent it', () => {
    const one = {
      object: 'instagram',
      entry: [{ id: IG, time: 1, changes: [{ field: 'other', value: { a: 1, b: { c: 2, d: 3 } } }] }],
    };
    const two = {
      object: 'instagram',
      entry: [{ time: 2, changes: [{ value: { b: { d: 3, c: 2 }, a: 1 }, field: 'other' }], id: IG }],
    };
    expect(keysOf(one)).toEqual(keysOf(two));
  });

  it('keeps two reactions apart that differ in time alone', () => {
    const like = { reaction: { mid: 'm', action: 'react' } };
    const [first, second] = keysOf(messaging(like, { ...like, timestamp: 1795000009000 }));
    expect(first).not.toBe(second);
  });
});

describe('instantOf', () => {
  it('takes seconds and milliseconds, as numbers or text', () => {
    const expected = new Date('2026-11-18T11:06:40Z');
    for (const value of [1795000000, 1795000000000, '1795000000', '1795000000000'])
      expect(instantOf(value)).toEqual(expected);
  });

  it.each([undefined, null, '', 'soon', -1, 0, Infinity, 1e18, NaN, {}])('takes %p for no time', (value) => {
    expect(instantOf(value)).toBeNull();
  });
});
