import { readSignatureHeader, signedBy, signingSecrets } from '../../src/meta/signature';

/** The vector of meta-platform §3.3: 306 bytes, no newline. */
const BODY = Buffer.from(
  String.raw`{"object":"instagram","entry":[{"id":"17841455500011122","time":1795000000,"changes":[{"field":"comments","value":{"id":"18055512340067890","from":{"id":"1203344556677889","username":"b\u00e4r.k\u00f8b"},"media":{"id":"17955501234567001","media_product_type":"FEED"},"text":"Fin\u2014t! \ud83d\ude00"}}]}]}`,
);
const BY_META = 'sha256=f3aec5992f91b504750a7db91ed48c410267d4299c35f8e434934b2a471c6b2b';
const BY_INSTAGRAM = 'sha256=0e7e4aadf7e6dfed1bc728e22915bb20d909ffcae0189dde554218a0f699c99d';
const OF_REWRITTEN_BODY = 'sha256=f891521d79cb2aad1331fa7f58c0dd16a74b04f22c400ac746d99deaca5c20d9';

const secrets = signingSecrets({
  appSecrets: ['demo-meta-app-secret', 'older-meta-secret'],
  instagramAppSecrets: ['demo-ig-app-secret'],
});
const signerOf = (header: string) => signedBy(BODY, readSignatureHeader(header)!, secrets);

describe('signedBy', () => {
  it('knows the secret that signed the exact bytes', () => {
    expect(BODY).toHaveLength(306);
    expect(signerOf(BY_META)).toBe('meta');
    expect(signerOf(BY_INSTAGRAM)).toBe('instagram');
  });

  it('refuses the signature of the same content written differently', () => {
    expect(signerOf(OF_REWRITTEN_BODY)).toBeNull();
  });

  it('names rotated secrets apart', () => {
    expect([...secrets.keys()]).toEqual(['meta', 'meta-2', 'instagram']);
  });
});

describe('readSignatureHeader', () => {
  it.each([
    undefined,
    '',
    'sha256=',
    `sha256=${'a'.repeat(63)}`,
    `sha256=${'a'.repeat(65)}`,
    `sha256=${'g'.repeat(64)}`,
    `sha256=${'é'.repeat(64)}`,
    ` ${BY_META}`,
    `${BY_META}zz`,
    `${BY_META}, ${BY_META}`,
    'sha1=96b791ad3bf438f2bfd2baa4a8656e2e8e531ffb',
  ])('refuses %p', (header) => {
    expect(readSignatureHeader(header)).toBeNull();
  });
});
