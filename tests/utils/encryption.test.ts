import { randomBytes } from 'node:crypto';
import { decrypt, DecryptionError, encrypt } from '../../src/utils/encryption';

const K1 = { id: 'k1', key: randomBytes(32) };
const K2 = { id: 'k2', key: randomBytes(32) };
const PLACE = { table: 'meta_accounts', column: 'user_token', rowId: '1', ownerId: '7' };
const TOKEN = 'EAADEMO-long-lived-token-ä';

function reasonOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof DecryptionError) return error.reason;
    throw error;
  }
  return 'nothing was wrong';
}

describe('encrypt and decrypt', () => {
  it('gives back what went in, and never the same ciphertext twice', () => {
    const stored = encrypt([K1], TOKEN, PLACE);
    expect(stored).toMatch(/^v1\.k1\.[\w-]{16}\.[\w-]+\.[\w-]{22}$/);
    expect(stored).not.toContain('EAADEMO');
    expect(encrypt([K1], TOKEN, PLACE)).not.toBe(stored);
    expect(decrypt([K1], stored, PLACE)).toBe(TOKEN);
  });

  it('writes under the first key and reads under all', () => {
    const old = encrypt([K1], TOKEN, PLACE);
    expect(encrypt([K2, K1], TOKEN, PLACE)).toMatch(/^v1\.k2\./);
    expect(decrypt([K2, K1], old, PLACE)).toBe(TOKEN);
  });

  it.each([
    ['table', { ...PLACE, table: 'pages' }],
    ['column', { ...PLACE, column: 'page_token' }],
    ['row', { ...PLACE, rowId: '2' }],
    ['owner', { ...PLACE, ownerId: '8' }],
  ])('refuses a ciphertext of another %s', (_name, place) => {
    const stored = encrypt([K1], TOKEN, PLACE);
    expect(reasonOf(() => decrypt([K1], stored, place))).toBe('tampered');
  });

  it('refuses every single changed character', () => {
    const stored = encrypt([K1], TOKEN, PLACE);
    for (let index = 0; index < stored.length; index++) {
      const changed = stored[index] === 'A' ? 'B' : 'A';
      const tampered = stored.slice(0, index) + changed + stored.slice(index + 1);
      expect(reasonOf(() => decrypt([K1], tampered, PLACE))).toMatch(/^(tampered|malformed|unknown_key)$/);
    }
  });

  it('refuses every truncation', () => {
    const stored = encrypt([K1], TOKEN, PLACE);
    for (let length = 0; length < stored.length; length++) {
      expect(reasonOf(() => decrypt([K1], stored.slice(0, length), PLACE))).toMatch(/^(tampered|malformed)$/);
    }
  });

  it('says when only the key is missing', () => {
    expect(reasonOf(() => decrypt([K2], encrypt([K1], TOKEN, PLACE), PLACE))).toBe('unknown_key');
    expect(reasonOf(() => decrypt([{ ...K2, id: 'k1' }], encrypt([K1], TOKEN, PLACE), PLACE))).toBe(
      'tampered',
    );
  });

  it('does not name the token in any error', () => {
    try {
      decrypt([K2], encrypt([K1], TOKEN, PLACE), PLACE);
    } catch (error) {
      expect(String((error as Error).stack)).not.toContain('EAADEMO');
    }
    expect(() => encrypt([], TOKEN, PLACE)).toThrow(/TOKEN_KEYS/);
  });
});
