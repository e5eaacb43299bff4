import { createFormat } from '../../src/utils/format';

const at = new Date('2027-01-04T02:00:05.250Z');
const before = (ms: number): Date => new Date(at.getTime() - ms);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('createFormat', () => {
  const format = createFormat('en', 'UTC');

  test('gives the exact time in the zone asked for, to the second', () => {
    expect(format.time(at)).toBe('4 Jan 2027, 02:00:05 UTC');
    expect(createFormat('en', 'America/New_York').time(at)).toBe('3 Jan 2027, 21:00:05 GMT-5');
  });

  test('gives the day of the zone, not of the server', () => {
    expect(format.date(at)).toBe('4 Jan 2027');
    expect(createFormat('en', 'America/New_York').date(at)).toBe('3 Jan 2027');
  });

  test('gives the time of day of the zone', () => {
    expect(format.hour(at)).toBe('02:00');
    expect(createFormat('en', 'America/New_York').hour(at)).toBe('21:00');
    expect(format.hour('2027-01-04T00:00:00Z')).toBe('00:00');
  });

  test('gives the time to the millisecond where steps follow each other within seconds', () => {
    expect(format.clock(at)).toBe('02:00:05.250');
  });

  test('takes what JSON makes of a date', () => {
    expect(format.date(at.toISOString())).toBe('4 Jan 2027');
  });

  test.each([
    [0, 'now'],
    [400, 'now'],
    [4 * SECOND, '4 seconds ago'],
    [59 * SECOND + 999, '59 seconds ago'],
    [MINUTE, '1 minute ago'],
    [59 * MINUTE, '59 minutes ago'],
    [3 * HOUR, '3 hours ago'],
    [DAY, 'yesterday'],
    [6 * DAY, '6 days ago'],
    [14 * DAY, '2 weeks ago'],
    [70 * DAY, '2 months ago'],
    [400 * DAY, 'last year'],
    [-4 * SECOND, 'in 4 seconds'],
    [-90 * SECOND, 'in 1 minute'],
  ])('says %i ms before now as "%s"', (ms, text) => {
    expect(format.relative(before(ms), at)).toBe(text);
  });

  test.each([
    [-5, '0 ms'],
    [0.4, '0 ms'],
    [85, '85 ms'],
    [999.7, '999 ms'],
    [SECOND, '1 s'],
    [1_449, '1.4 s'],
    [59_990, '59.9 s'],
    [MINUTE, '1 min'],
    [2 * MINUTE + 5 * SECOND, '2 min 5 s'],
    [3 * HOUR + 12 * MINUTE + 59 * SECOND, '3 h 12 min'],
    [2 * DAY, '2 d'],
    [2 * DAY + 4 * HOUR, '2 d 4 h'],
  ])('says a duration of %d ms as "%s"', (ms, text) => {
    expect(format.duration(ms)).toBe(text);
  });

  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_449, '1.4 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1 MB'],
    [67_108_864, '67.1 MB'],
  ])('says a size of %d bytes as "%s"', (bytes, text) => {
    expect(format.bytes(bytes)).toBe(text);
  });

  test('writes numbers and times in the language asked for', () => {
    expect(format.number(1234567)).toBe('1,234,567');
    const portuguese = createFormat('pt', 'UTC');
    expect(portuguese.number(1234567)).toBe('1.234.567');
    expect(portuguese.relative(before(2 * HOUR), at)).toBe('há 2 horas');
    expect(createFormat('es', 'UTC').duration(1_449)).toBe('1,4 s');
  });

  test('refuses a zone nobody knows', () => {
    expect(() => createFormat('en', 'Mars/Olympus')).toThrow(RangeError);
  });
});
