import { type World } from './world';

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Moves the virtual clock forward; what falls due by it happens at once. */
export function advanceClock(world: World, ms: number): void {
  world.state.clockOffsetMs += ms;
  world.changed();
  world.wakeSender();
}

export function resetClock(world: World): void {
  world.state.clockOffsetMs = 0;
  world.changed();
}

/** `90s`, `15m`, `25h` or `61d` in milliseconds; null for anything else. */
export function parseDuration(text: string): number | null {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  return amount === undefined || unit === undefined ? null : Number(amount) * (UNIT_MS[unit] ?? 0);
}
