/** How one visitor reads times and numbers. Every function takes a Date or what JSON makes of it. */
export interface Format {
  language: string;
  timeZone: string;
  /** Date and time to the second, with the zone's short name. */
  time(at: Date | string): string;
  /** The day alone: "4 Jan 2027". */
  date(at: Date | string): string;
  /** "4 minutes ago", "in 4 seconds", "yesterday"; `now` defaults to the server's clock. */
  relative(at: Date | string, now?: Date): string;
  /** The time of day alone: "14:00". */
  hour(at: Date | string): string;
  /** Time of day to the millisecond, for what happens within seconds: "14:00:07.180". */
  clock(at: Date | string): string;
  number(value: number): string;
  /** "85 B", "1.4 kB", "3 MB": thousands, not 1,024s. */
  bytes(value: number): string;
  /** Milliseconds as "85 ms", "1.4 s", "2 min 5 s", "3 h 12 min", "2 d 4 h". */
  duration(ms: number): string;
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// Plain "en" would give the American order and a 12-hour clock; the product's English is international.
const localeOf = (language: string): string => (language === 'en' ? 'en-GB' : language);

const made = new Map<string, Format>();
const MADE_LIMIT = 500;

/**
 * The formatters of one visitor, kept: making them costs a third of a millisecond.
 * @throws RangeError on a language tag or time zone Intl does not know
 */
export function createFormat(language: string, timeZone: string): Format {
  const key = `${language} ${timeZone}`;
  const known = made.get(key);
  if (known !== undefined) return known;
  if (made.size >= MADE_LIMIT) made.clear();
  const format = makeFormat(language, timeZone);
  made.set(key, format);
  return format;
}

function makeFormat(language: string, timeZone: string): Format {
  const locale = localeOf(language);
  const timeFormat = new Intl.DateTimeFormat(locale, {
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZone,
    timeZoneName: 'short',
  });
  const dateFormat = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone });
  const hourFormat = new Intl.DateTimeFormat(locale, {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone,
  });
  const clockFormat = new Intl.DateTimeFormat(locale, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    fractionalSecondDigits: 3,
    hourCycle: 'h23',
    timeZone,
  });
  const relativeFormat = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const numberFormat = new Intl.NumberFormat(locale);
  const oneDecimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });

  /** The larger unit, and the smaller one unless it is zero. */
  const pair = (ms: number, large: number, largeName: string, small: number, smallName: string): string => {
    const inSmall = Math.floor(ms / small);
    const first = Math.floor((inSmall * small) / large);
    const rest = inSmall - (first * large) / small;
    const head = `${numberFormat.format(first)} ${largeName}`;
    return rest === 0 ? head : `${head} ${numberFormat.format(rest)} ${smallName}`;
  };

  return {
    language,
    timeZone,
    time: (at) => timeFormat.format(new Date(at)),
    date: (at) => dateFormat.format(new Date(at)),
    relative(at, now = new Date()) {
      const seconds = (new Date(at).getTime() - now.getTime()) / SECOND;
      const size = Math.abs(seconds);
      const [unit, length] = UNITS.find(([, unitSeconds]) => size >= unitSeconds) ?? ['second', 1];
      return relativeFormat.format(Math.trunc(seconds / length) || 0, unit);
    },
    hour: (at) => hourFormat.format(new Date(at)),
    clock: (at) => clockFormat.format(new Date(at)),
    number: (value) => numberFormat.format(value),
    bytes(value) {
      if (value < 1_000) return `${numberFormat.format(value)} B`;
      if (value < 999_950) return `${oneDecimal.format(value / 1_000)} kB`;
      return `${oneDecimal.format(value / 1_000_000)} MB`;
    },
    duration(ms) {
      const size = Math.max(0, ms);
      if (size < SECOND) return `${numberFormat.format(Math.min(999, Math.round(size)))} ms`;
      if (size < MINUTE) return `${oneDecimal.format(Math.floor(size / 100) / 10)} s`;
      if (size < HOUR) return pair(size, MINUTE, 'min', SECOND, 's');
      if (size < DAY) return pair(size, HOUR, 'h', MINUTE, 'min');
      return pair(size, DAY, 'd', HOUR, 'h');
    },
  };
}
