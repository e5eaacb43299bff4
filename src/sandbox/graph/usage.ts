import { type SandboxState } from '../state';
import { type GraphCall } from './call';
import { GraphError } from './errors';

const HOUR_MS = 3_600_000;

/**
 * Counts the call and says so in the headers of meta-platform §2.7, once usage is worth mentioning.
 * Calls made while blocked count as well, so they lengthen the block.
 * @throws GraphError 4 or 80002 above the limit
 */
export function countCall(call: GraphCall): Record<string, string> {
  const { state } = call.world;
  const { appCallsPerHour, accountCallsPerDay, usageHeaderFromPercent } = state.settings;
  const headers: Record<string, string> = {};

  const appPercent = count(call, 'app', HOUR_MS, appCallsPerHour);
  if (appPercent >= usageHeaderFromPercent) headers['x-app-usage'] = appUsage(appPercent);
  if (appPercent > 100) throw appLimit(headers);

  const accountId = accountOf(call);
  if (accountId === null) return headers;
  const percent = count(call, accountId, 24 * HOUR_MS, accountCallsPerDay);
  const minutes = percent > 100 ? Math.ceil((percent - 100) / 10) + 1 : 0;
  if (percent >= usageHeaderFromPercent) {
    headers['x-business-use-case-usage'] = businessUsage(accountId, percent, minutes);
  }
  if (percent > 100) throw accountLimit(headers);
  return headers;
}

export function appLimit(headers: Record<string, string>): GraphError {
  return new GraphError({ code: 4, message: '(#4) Application request limit reached', headers });
}

export function accountLimit(headers: Record<string, string>): GraphError {
  return new GraphError({
    code: 80002,
    message: '(#80002) There have been too many calls to this Instagram account.',
    headers,
  });
}

export function appUsage(percent: number): string {
  return JSON.stringify({ call_count: percent, total_time: percent, total_cputime: percent });
}

export function businessUsage(accountId: string, percent: number, minutes: number): string {
  const usage = { type: 'instagram', call_count: percent, total_cputime: 20, total_time: 12 };
  return JSON.stringify({ [accountId]: [{ ...usage, estimated_time_to_regain_access: minutes }] });
}

/** The Instagram account a call concerns: named in the path, or behind the Page or its token; null for none. */
export function accountOf(call: GraphCall): string | null {
  const { state } = call.world;
  const named = call.path.split('/')[1] ?? '';
  if (state.igAccounts.some(({ id }) => id === named)) return named;
  const media = state.media.find(({ id }) => id === named) ?? state.comments.find(({ id }) => id === named);
  if (media !== undefined) return media.igAccountId;
  return igAccountOfPage(state, named) ?? igAccountOfPage(state, call.token?.pageId ?? '');
}

function igAccountOfPage(state: SandboxState, pageId: string): string | null {
  return state.pages.find(({ id }) => id === pageId)?.igAccountId ?? null;
}

function count(call: GraphCall, key: string, windowMs: number, limit: number): number {
  const { state } = call.world;
  const now = call.world.now();
  const usage = state.usage[key];
  const isCurrent = usage !== undefined && now - usage.windowStartedAt < windowMs;
  const current = isCurrent ? usage : { windowStartedAt: now, calls: 0 };
  current.calls += 1;
  state.usage[key] = current;
  return Math.floor((current.calls / limit) * 100);
}
