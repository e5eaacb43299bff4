/** Graph API versions and the end of their life; null when none is announced (meta-platform §6). */
const VERSIONS: [version: string, usableUntil: string | null][] = [
  ['v19.0', '2026-05-21'],
  ['v20.0', '2026-09-24'],
  ['v21.0', '2027-01-21'],
  ['v22.0', '2027-05-20'],
  ['v23.0', '2027-10-08'],
  ['v24.0', '2028-02-18'],
  ['v25.0', '2028-07-29'],
  ['v26.0', null],
];

/**
 * The version a call is served as: an expired one falls forward to the oldest that lives.
 * Null for a version that never existed.
 */
export function servedVersion(asked: string, now: number): string | null {
  const known = VERSIONS.find(([version]) => version === asked);
  if (known === undefined) return null;
  const living = VERSIONS.filter(([, until]) => until === null || Date.parse(until) > now);
  const isLiving = living.some(([version]) => version === asked);
  return isLiving ? asked : (living[0]?.[0] ?? asked);
}

export function looksLikeVersion(segment: string): boolean {
  return /^v\d+\.\d+$/.test(segment);
}
