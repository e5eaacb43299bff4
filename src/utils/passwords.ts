import bcrypt from 'bcrypt';
import { UnavailableError } from '../errors';

/** bcrypt reads no further; a longer password would be cut silently. Bytes of UTF-8, not characters. */
export const MAX_PASSWORD_BYTES = 72;
export const MIN_PASSWORD_CHARACTERS = 8;

/** Each hash occupies a thread of libuv's four for a third of a second: leave the others to DNS and files. */
const MAX_RUNNING = 2;
const MAX_WAITING = 40;

let running = 0;
const waiting: (() => void)[] = [];
const dummyHashes = new Map<number, Promise<string>>();

/** @throws UnavailableError when too many people are being hashed already */
export function hashPassword(password: string, rounds: number): Promise<string> {
  return inTurn(() => bcrypt.hash(password, rounds));
}

/**
 * Takes the same time whether the person exists (hash given) or not (null): nobody learns from it which addresses do.
 * @throws UnavailableError when too many people are being hashed already
 */
export async function verifyPassword(
  password: string,
  hash: string | null,
  rounds: number,
): Promise<boolean> {
  const isTooLong = Buffer.byteLength(password) > MAX_PASSWORD_BYTES;
  const against = hash ?? (await dummyHash(rounds));
  const matches = await inTurn(() => bcrypt.compare(isTooLong ? '' : password, against));
  return matches && !isTooLong && hash !== null;
}

export function needsRehash(hash: string, rounds: number): boolean {
  return bcrypt.getRounds(hash) < rounds;
}

function dummyHash(rounds: number): Promise<string> {
  const known = dummyHashes.get(rounds) ?? bcrypt.hash('nobody has this password', rounds);
  dummyHashes.set(rounds, known);
  return known;
}

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= MAX_RUNNING) {
    if (waiting.length >= MAX_WAITING) throw new UnavailableError();
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else {
    running++;
  }
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next(); // hands its place on
  }
}
