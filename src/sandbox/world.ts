import { type Journal } from './journal';
import { type SandboxState } from './state';

/** What every part of the sandbox shares: the state, the virtual clock and the ways to react to a change. */
export interface World {
  state: SandboxState;
  /** Public address of the sandbox without a trailing slash, known once it listens. */
  url: string;
  readonly journal: Journal;
  readonly log: (line: string) => void;
  /** Milliseconds on the virtual clock. */
  now(): number;
  /** Call after changing `state`: the snapshot is written soon. */
  changed(): void;
  /** Call after changing the outbox or the clock: the sender looks for something to deliver. */
  wakeSender(): void;
}

export function nextId(world: World, prefix: string): string {
  const number = world.state.nextNumber++;
  return `${prefix}${number}`;
}

/** A number in [0, 1), the same sequence for the same seed (mulberry32). */
export function random(world: World): number {
  const seed = (world.state.randomSeed + 0x6d2b79f5) | 0;
  world.state.randomSeed = seed;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}

export function findIgAccount(state: SandboxState, idOrUsername: string) {
  return state.igAccounts.find(({ id, username }) => id === idOrUsername || username === idOrUsername);
}

export function findCustomer(state: SandboxState, idOrUsername: string) {
  return state.customers.find(({ id, username }) => id === idOrUsername || username === idOrUsername);
}

export function pageOfIgAccount(state: SandboxState, igAccountId: string) {
  return state.pages.find((page) => page.igAccountId === igAccountId);
}
