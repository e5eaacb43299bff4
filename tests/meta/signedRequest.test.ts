import { createHmac } from 'node:crypto';
import { readSignedRequest } from '../../src/meta/signedRequest';

const SECRET = 'demo-meta-app-secret';
/** meta-platform §3.8 */
const VECTOR =
  '6VH-lA12B6qsudAzOQhVtwjpiw5PkMmOamWW64Rh6MA.eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsImV4cGlyZXMiOjE3OTUwMDM2MDAsImlzc3VlZF9hdCI6MTc5NTAwMDAwMCwidXNlcl9pZCI6IjEwMjI1NTUwMDAxMTEyMjIzIn0';

function signed(payload: string, secret = SECRET): string {
  const encoded = Buffer.from(payload).toString('base64url');
  return `${createHmac('sha256', secret).update(encoded).digest('base64url')}.${encoded}`;
}

describe('readSignedRequest', () => {
  it('reads the vector, with whichever of our secrets signed it', () => {
    const expected = { metaUserId: '10225550001112223', pageId: null };
    expect(readSignedRequest(VECTOR, [SECRET])).toEqual(expected);
    expect(readSignedRequest(VECTOR, ['another-secret', SECRET])).toEqual(expected);
  });

  it('keeps the digits of a numeric id, and knows a removal by a Page', () => {
    const payload = '{"algorithm":"hmac-sha256","user_id":17841455500011123}';
    expect(readSignedRequest(signed(payload), [SECRET])?.metaUserId).toBe('17841455500011123');
    const byPage = '{"algorithm":"HMAC-SHA256","user_id":0,"profile_id":104455667788990}';
    expect(readSignedRequest(signed(byPage), [SECRET])).toEqual({
      metaUserId: null,
      pageId: '104455667788990',
    });
  });

  it.each([
    ['another secret', signed('{"algorithm":"HMAC-SHA256"}', 'another-secret')],
    ['another algorithm', signed('{"algorithm":"none","user_id":"1"}')],
    ['no algorithm', signed('{"user_id":"1"}')],
    ['no JSON', signed('nothing')],
    ['an array', signed('[1]')],
    ['one part', VECTOR.split('.')[0]],
    ['three parts', `${VECTOR}.x`],
    ['a cut signature', VECTOR.slice(4)],
    ['a changed payload', `${VECTOR.slice(0, -4)}AAAA`],
    ['an empty string', ''],
    ['nothing', undefined],
    ['a list', [VECTOR]],
  ])('refuses %s', (_name, value) => {
    expect(readSignedRequest(value, [SECRET])).toBeNull();
  });

  it('takes no signature of an empty secret', () => {
    expect(readSignedRequest(signed('{"algorithm":"HMAC-SHA256","user_id":"1"}', ''), [''])).toBeNull();
  });
});
