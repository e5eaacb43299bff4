import { randomInt } from 'node:crypto';

/** Repeats a run: FAULTS_SEED=… npm run test:faults */
const seed = Number(process.env['FAULTS_SEED'] ?? randomInt(1, 2 ** 31));
process.stdout.write(`FAULTS_SEED=${seed}\n`);
let state = seed;

/** From 0 up to but not including 1, the same sequence for the same seed (mulberry32). */
export function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

/** A whole number from `low` to `high`, both included. */
export function randomBetween(low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}
