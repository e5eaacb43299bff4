type Cell = string | number | boolean | Date | null;

/**
 * RFC 4180 text with a header line. Cells that a spreadsheet would run as a formula get an apostrophe in front.
 * @see https://owasp.org/www-community/attacks/CSV_Injection
 */
export function toCsv<K extends string>(columns: readonly K[], rows: readonly Record<K, Cell>[]): string {
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return lines.map((cells) => `${cells.map(cell).join(',')}\r\n`).join('');
}

function cell(value: Cell): string {
  const text = value instanceof Date ? value.toISOString() : String(value ?? '');
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
