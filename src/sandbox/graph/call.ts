import { type Request } from 'express';

import { type Token } from '../state';
import { type World } from '../world';
import { looksLikeVersion, servedVersion } from '../versions';

/** One request to a Graph host, read but not yet checked. */
export interface GraphCall {
  world: World;
  host: string;
  method: string;
  /** The version to serve; null when the asked one does not exist. */
  version: string | null;
  /** Path without the version, always with a leading slash. */
  path: string;
  params: Record<string, string>;
  tokenValue: string | null;
  token: Token | null;
  /** Values of the `:names` in the route's pattern. */
  segments: Record<string, string>;
  notes: string[];
}

export function readCall(world: World, host: string, req: Request): GraphCall {
  const segments = req.path.split('/').filter(Boolean).map(decodeSegment);
  const [first = ''] = segments;
  const isVersioned = looksLikeVersion(first);
  const asked = isVersioned ? first : world.state.app.dashboardVersion;
  const version = servedVersion(asked, world.now());
  const params = readParams(req);
  const tokenValue = params['access_token'] ?? bearerToken(req) ?? null;
  const labelled = tokenValue ?? params['fb_exchange_token'];
  return {
    world,
    host,
    method: req.method,
    version,
    path: `/${segments.slice(isVersioned ? 1 : 0).join('/')}`,
    params,
    tokenValue,
    token: world.state.tokens.find(({ value }) => value === labelled) ?? appTokenInParts(world, tokenValue),
    segments: {},
    notes: version === null || version === asked ? [] : [`${asked} has expired: served as ${version}`],
  };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function readParams(req: Request): Record<string, string> {
  const body = typeof req.body === 'object' && req.body !== null ? (req.body as object) : {};
  const given = Object.entries({ ...req.query, ...body });
  return Object.fromEntries(given.map(([name, value]) => [name, asText(value)]));
}

function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(asText).join(',');
  return JSON.stringify(value);
}

function bearerToken(req: Request): string | undefined {
  return /^(?:Bearer|OAuth) (.+)$/i.exec(req.get('authorization') ?? '')?.[1];
}

/** `APP_ID|APP_SECRET` works as an app token without having been issued (meta-platform §1.7). */
function appTokenInParts(world: World, value: string | null): Token | null {
  const { id, secret } = world.state.app;
  if (value !== `${id}|${secret}`) return null;
  return {
    value,
    label: 'app-secret',
    kind: 'APP',
    flow: 'facebook',
    subjectId: id,
    pageId: null,
    longLived: true,
    issuedAt: world.now(),
    expiresAt: null,
    passwordEpoch: 0,
    revokedWith: null,
  };
}
