import { createHash, randomBytes } from 'node:crypto';

export function newTokenValue(prefix: string): string {
  return prefix + randomBytes(120).toString('base64url').replace(/[-_]/g, 'Z');
}

export function newCodeValue(): string {
  return `AQB${randomBytes(90).toString('base64url')}`;
}

export function newTraceId(): string {
  return `A${randomBytes(8).toString('base64url')}`;
}

export function newMid(): string {
  return `aWdf${randomBytes(66).toString('base64url')}`;
}

/** An odd decimal id with `digits` digits, so that parsing it as a double damages it above 2^53. */
export function newNumericId(prefix: string, digits: number): string {
  return oddId(prefix, digits, randomBytes(16).toString('hex'));
}

/** Like `newNumericId`, but the same for the same `seed`. */
export function stableNumericId(prefix: string, digits: number, seed: string): string {
  return oddId(prefix, digits, createHash('sha256').update(seed).digest('hex'));
}

function oddId(prefix: string, digits: number, hex: string): string {
  const tail = BigInt(`0x${hex}`)
    .toString()
    .slice(-(digits - prefix.length - 1));
  const last = (Number(tail.at(-1)) % 5) * 2 + 1;
  return prefix + tail + String(last);
}
