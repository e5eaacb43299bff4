import { GraphError } from './errors';

/** One entry of a `fields` parameter: `media.limit(3){id,caption}`. */
export interface FieldRequest {
  name: string;
  args: Record<string, string>;
  /** Null when nothing was asked of it in braces. */
  children: FieldRequest[] | null;
}

/** @throws GraphError 2500 for a syntax error */
export function parseFields(text: string): FieldRequest[] {
  const reader = { text: text.replace(/\s/g, ''), at: 0 };
  const fields = readList(reader);
  if (reader.at < reader.text.length) throw syntaxError(reader);
  return fields;
}

interface Reader {
  text: string;
  at: number;
}

function readList(reader: Reader): FieldRequest[] {
  const fields: FieldRequest[] = [];
  do fields.push(readField(reader));
  while (take(reader, ','));
  return fields;
}

function readField(reader: Reader): FieldRequest {
  const field: FieldRequest = { name: readName(reader), args: {}, children: null };
  while (take(reader, '.')) {
    const argument = readName(reader);
    if (!take(reader, '(')) throw syntaxError(reader);
    const end = reader.text.indexOf(')', reader.at);
    if (end < 0) throw syntaxError(reader);
    field.args[argument] = reader.text.slice(reader.at, end);
    reader.at = end + 1;
  }
  if (take(reader, '{')) {
    field.children = readList(reader);
    if (!take(reader, '}')) throw syntaxError(reader);
  }
  return field;
}

function readName(reader: Reader): string {
  const name = /^[A-Za-z0-9_]+/.exec(reader.text.slice(reader.at))?.[0];
  if (name === undefined) throw syntaxError(reader);
  reader.at += name.length;
  return name;
}

function take(reader: Reader, character: string): boolean {
  if (reader.text[reader.at] !== character) return false;
  reader.at += 1;
  return true;
}

function syntaxError(reader: Reader): GraphError {
  const found = reader.text[reader.at] ?? 'end of string';
  const message = `Syntax error "Unexpected ${found}" at character ${reader.at}: ${reader.text.slice(0, reader.at)}`;
  return new GraphError({ code: 2500, message });
}
