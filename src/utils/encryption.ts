import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type TokenKey } from '../config';

/** Where a ciphertext belongs. Moved to another table, column, row or owner it cannot be read. */
export interface Binding {
  table: string;
  column: string;
  rowId: string;
  ownerId: string;
}

/**
 * - `malformed`: not one of our ciphertexts, or cut short
 * - `unknown_key`: written under a key that TOKEN_KEYS no longer lists; the ciphertext itself may be fine
 * - `tampered`: changed, or taken from another row
 */
export class DecryptionError extends Error {
  constructor(
    readonly reason: 'malformed' | 'unknown_key' | 'tampered',
    message: string,
  ) {
    super(message);
    this.name = 'DecryptionError';
  }
}

const VERSION = 'v1';
const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM under the first key of the ring, as `v1.<key id>.<iv>.<ciphertext>.<tag>` in base64url. Two calls with
 * the same text differ.
 */
export function encrypt(keys: readonly TokenKey[], plaintext: string, binding: Binding): string {
  const [key] = keys;
  if (key === undefined) throw new Error('TOKEN_KEYS is empty.');
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(ALGORITHM, key.key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(boundTo(key.id, binding));
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
  const parts = [iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString('base64url'));
  return [VERSION, key.id, ...parts].join('.');
}

/** @throws DecryptionError */
export function decrypt(keys: readonly TokenKey[], stored: string, binding: Binding): string {
  const [version, keyId, ...encoded] = stored.split('.');
  const [iv, ciphertext, tag] = encoded.map(decodeExactly);
  if (
    version !== VERSION ||
    encoded.length !== 3 ||
    iv?.length !== IV_BYTES ||
    tag?.length !== TAG_BYTES ||
    ciphertext === undefined
  ) {
    throw new DecryptionError('malformed', 'The stored value is not a whole ciphertext.');
  }
  const key = keys.find(({ id }) => id === keyId);
  if (key === undefined) {
    throw new DecryptionError(
      'unknown_key',
      `The stored value needs the key ${keyId ?? ''}, which TOKEN_KEYS lacks.`,
    );
  }
  const decipher = createDecipheriv(ALGORITHM, key.key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(boundTo(key.id, binding));
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('utf8');
  } catch {
    throw new DecryptionError('tampered', 'The stored value was changed or belongs to another row.');
  }
}

/** Undefined for a spelling that `encrypt` does not write: base64 has several for the same bytes. */
function decodeExactly(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : undefined;
}

function boundTo(keyId: string, { table, column, rowId, ownerId }: Binding): Buffer {
  return Buffer.from([VERSION, keyId, table, column, rowId, ownerId].join('|'));
}
