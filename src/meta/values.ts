/** Reading what Meta sends, of which no type can be trusted. */
export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectOf(value: unknown): Json {
  return isObject(value) ? value : {};
}

/** Ids come as numbers too. Null for everything that is not text with something in it. */
export function text(value: unknown): string | null {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : null;
}

export function wholeNumber(value: unknown): number {
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 && number < 1_000_000 ? number : 0;
}

/** Without what is not there (null, false, an object with nothing in it): two tellings of a thing then join cleanly. */
export function present(values: Json): Json {
  return Object.fromEntries(
    Object.entries(values).filter(
      ([, value]) =>
        value !== null &&
        value !== undefined &&
        value !== false &&
        !(isObject(value) && Object.keys(value).length === 0),
    ),
  );
}

/** Seconds or milliseconds, number or text: Meta's samples use all of them. Null when it is no plausible time. */
export function instantOf(value: unknown): Date | null {
  const number =
    typeof value === 'number' || (typeof value === 'string' && /^\d{9,16}$/.test(value))
      ? Number(value)
      : NaN;
  const milliseconds = number < 1e11 ? number * 1000 : number;
  return milliseconds > 0 && milliseconds < 4_102_444_800_000 ? new Date(milliseconds) : null;
}
