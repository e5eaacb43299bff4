import { type GraphCall } from './call';
import { invalidParameter } from './errors';
import { parseFields, type FieldRequest } from './fields';

/** Something with an id that the Graph API can show. A reader that returns undefined leaves its field out. */
export interface GraphNode {
  typeName: string;
  id: string;
  defaults: string[];
  fields: Record<string, (call: GraphCall, request: FieldRequest) => unknown>;
}

/** An edge: a list of nodes, shown page by page. */
export class Connection {
  constructor(
    readonly ownerId: string,
    readonly edge: string,
    readonly nodes: GraphNode[],
  ) {}
}

export function renderNode(call: GraphCall, node: GraphNode, requests = requestedFields(call)): object {
  const wanted = requests ?? node.defaults.map(plainField);
  const withId = wanted.some(({ name }) => name === 'id') ? wanted : [...wanted, plainField('id')];
  const shown: Record<string, unknown> = {};
  for (const request of withId) {
    const read = readerOf(node, request.name);
    const value = renderValue(call, read(call, request), request);
    if (value !== undefined) shown[request.name] = value;
  }
  return shown;
}

/** The edge `name` of a node as its own answer, paged by `limit`, `after` and `before`. */
export function renderEdge(call: GraphCall, node: GraphNode, name: string): object {
  const value = readerOf(node, name)(call, plainField(name));
  if (value instanceof Connection) return renderConnection(call, value, requestedFields(call), call.params);
  if (isUnpagedList(value)) return value;
  throw nonexistingField(node, name);
}

function renderValue(call: GraphCall, value: unknown, request: FieldRequest): unknown {
  if (value instanceof Connection) {
    return renderConnection(call, value, request.children, request.args);
  }
  return isNode(value) ? renderNode(call, value, request.children ?? [plainField('id')]) : value;
}

const DEFAULT_LIMIT = 25;
const MAX_LIMIT = 100;

/** Where the cursor of a page that was left empty on purpose points to: the real beginning. */
export const START_CURSOR = Buffer.from('start').toString('base64url');

function renderConnection(
  call: GraphCall,
  { nodes, ownerId, edge }: Connection,
  requests: FieldRequest[] | null,
  args: Record<string, string>,
): object {
  const limit = readLimit(args['limit']);
  const start = startOf(nodes, args, limit);
  const shown = nodes.slice(start, start + limit);
  const data = shown.map((node) => renderNode(call, node, requests));
  const [first, last] = [shown[0], shown.at(-1)];
  if (first === undefined || last === undefined) return { data };
  const cursors = { before: cursorOf(first), after: cursorOf(last) };
  const hasNext = start + limit < nodes.length;
  return {
    data,
    paging: {
      cursors,
      ...(hasNext ? { next: pageUrl(call, ownerId, edge, { after: cursors.after }) } : {}),
      ...(start > 0 ? { previous: pageUrl(call, ownerId, edge, { before: cursors.before }) } : {}),
    },
  };
}

function readLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  if (!/^\d+$/.test(text) || Number(text) < 1)
    throw invalidParameter('Param limit must be a positive integer');
  return Math.min(Number(text), MAX_LIMIT);
}

function startOf(nodes: GraphNode[], { after, before }: Record<string, string>, limit: number): number {
  if (after !== undefined && after !== START_CURSOR) {
    const index = nodes.findIndex((node) => cursorOf(node) === after);
    if (index < 0) throw invalidParameter('Invalid cursors values');
    return index + 1;
  }
  if (before === undefined) return 0;
  const index = nodes.findIndex((node) => cursorOf(node) === before);
  return Math.max(0, index - limit);
}

function cursorOf(node: GraphNode): string {
  return Buffer.from(`c:${node.id}`).toString('base64url');
}

/** Like Meta's, the address carries the caller's token. */
export function pageUrl(
  call: GraphCall,
  ownerId: string,
  edge: string,
  cursor: Record<string, string>,
): string {
  const kept = Object.entries(call.params).filter(([name]) => !['after', 'before'].includes(name));
  const token = call.tokenValue === null ? {} : { access_token: call.tokenValue };
  const query = new URLSearchParams({ ...Object.fromEntries(kept), ...token, ...cursor });
  return `${call.world.url}/${call.host}/${call.version}/${ownerId}/${edge}?${query.toString()}`;
}

function requestedFields(call: GraphCall): FieldRequest[] | null {
  const text = call.params['fields'];
  return text === undefined || text === '' ? null : parseFields(text);
}

function plainField(name: string): FieldRequest {
  return { name, args: {}, children: null };
}

function readerOf(node: GraphNode, name: string) {
  const read = Object.hasOwn(node.fields, name) ? node.fields[name] : undefined;
  if (read === undefined) throw nonexistingField(node, name);
  return read;
}

function nonexistingField(node: GraphNode, name: string) {
  return invalidParameter(`Tried accessing nonexisting field (${name}) on node type (${node.typeName})`);
}

function isUnpagedList(value: unknown): value is { data: unknown[] } {
  return typeof value === 'object' && value !== null && 'data' in value && Array.isArray(value.data);
}

function isNode(value: unknown): value is GraphNode {
  return typeof value === 'object' && value !== null && 'typeName' in value && 'fields' in value;
}
