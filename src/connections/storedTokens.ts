import { type TokenKey } from '../config';
import { decrypt, DecryptionError, encrypt } from '../utils/encryption';

/** A token that is not there or cannot be read; `code` is in the failure table. No call to Meta is made with it. */
export class StoredTokenError extends Error {
  constructor(
    readonly code: 'token_missing' | 'token_unreadable' | 'token_key_missing',
    options?: ErrorOptions,
  ) {
    super(`The stored token cannot be used: ${code}`, options);
    this.name = 'StoredTokenError';
  }
}

interface Row {
  id: string;
  userId: string;
}

export function sealUserToken(keys: readonly TokenKey[], token: string, row: Row): string {
  return encrypt(keys, token, userTokenPlace(row));
}

export function sealPageToken(keys: readonly TokenKey[], token: string, row: Row): string {
  return encrypt(keys, token, pageTokenPlace(row));
}

/** @throws StoredTokenError */
export function openUserToken(keys: readonly TokenKey[], row: Row & { userToken: string | null }): string {
  return open(keys, row.userToken, userTokenPlace(row));
}

/** @throws StoredTokenError */
export function openPageToken(keys: readonly TokenKey[], row: Row & { pageToken: string | null }): string {
  return open(keys, row.pageToken, pageTokenPlace(row));
}

function userTokenPlace({ id, userId }: Row) {
  return { table: 'meta_accounts', column: 'user_token', rowId: id, ownerId: userId };
}

function pageTokenPlace({ id, userId }: Row) {
  return { table: 'pages', column: 'page_token', rowId: id, ownerId: userId };
}

function open(
  keys: readonly TokenKey[],
  stored: string | null,
  place: ReturnType<typeof userTokenPlace>,
): string {
  if (stored === null) throw new StoredTokenError('token_missing');
  try {
    return decrypt(keys, stored, place);
  } catch (error) {
    if (!(error instanceof DecryptionError)) throw error;
    // A key that was left out of TOKEN_KEYS comes back; a damaged token does not.
    const code = error.reason === 'unknown_key' ? 'token_key_missing' : 'token_unreadable';
    throw new StoredTokenError(code, { cause: error });
  }
}
