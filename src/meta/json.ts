/** A string (also an unterminated one) or a whole number; everything between them is left alone. */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\[^][^"\\]*)*"?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Ids mostly stand in quotes, and then nothing has to be taken apart. */
const MAY_HAVE_LONG_INTEGER = /(?:^|[^"\d])\d{16}/;
const LONG_INTEGER = /^-?\d{16,}$/;

/**
 * Puts quotes around every integer of 16 or more digits, so that ids above 2^53 keep all their digits. Text inside
 * strings, fractions and powers stay as they are; millisecond times have 13 digits and stay numbers.
 */
export function quoteLongInts(json: string): string {
  if (!MAY_HAVE_LONG_INTEGER.test(json)) return json;
  return json.replace(STRING_OR_NUMBER, (token) => (LONG_INTEGER.test(token) ? `"${token}"` : token));
}

/** @throws SyntaxError when it is not JSON */
export function parseMetaJson(text: string): unknown {
  return JSON.parse(quoteLongInts(text)) as unknown;
}
