import { z } from 'zod';

import { errorAnswer, type Answer } from '../graph/answer';
import { type GraphCall } from '../graph/call';
import { findGrant } from '../graph/checks';
import { accountOf } from '../graph/usage';
import { revokePermission } from '../peopleActions';
import { type FaultRule } from '../state';
import { nextId, random, type World } from '../world';
import { errorFaults, isKnownFault, textParam } from './catalogue';
import { spoilAnswer } from './spoil';

export const FaultInputSchema = z.strictObject({
  match: z
    .strictObject({
      host: z.string().optional(),
      method: z.string().optional(),
      path: z.string().optional(),
      token: z.string().optional(),
      account: z.string().optional(),
      nth: z.int().min(1).optional(),
      probability: z.number().min(0).max(1).optional(),
    })
    .optional(),
  action: z.string().refine(isKnownFault, 'unknown fault'),
  params: z.record(z.string(), z.unknown()).optional(),
  /** How often it fires; without it, until it is removed. */
  times: z.int().min(1).optional(),
  /** How many matching calls pass before it begins. */
  after: z.int().min(0).optional(),
  /** The call takes effect and its answer fails all the same. */
  applyFirst: z.boolean().optional(),
});

export type FaultInput = z.input<typeof FaultInputSchema>;

export function addFault(world: World, input: FaultInput): FaultRule {
  const given = FaultInputSchema.parse(input);
  const rule: FaultRule = {
    id: nextId(world, 'fault-'),
    match: given.match ?? {},
    action: given.action,
    params: given.params ?? {},
    times: given.times ?? null,
    after: given.after ?? 0,
    applyFirst: given.applyFirst ?? given.action === 'ambiguous_send',
    seen: 0,
    fired: 0,
  };
  world.state.faults.push(rule);
  world.changed();
  return rule;
}

/** @param id all of them when left out */
export function removeFaults(world: World, id?: string): void {
  world.state.faults = world.state.faults.filter((rule) => id !== undefined && rule.id !== id);
  world.changed();
}

/** The rule that fires on this call, already counted; null when none does. */
export function takeFault(call: GraphCall): FaultRule | null {
  const rule = call.world.state.faults.find((candidate) => fires(call, candidate));
  if (rule === undefined) return null;
  rule.fired += 1;
  return rule;
}

/** The answer of a fault that comes instead of the call's effect; null when the call is to be served. */
export function faultBefore(call: GraphCall, rule: FaultRule): Answer | null {
  return rule.applyFirst ? null : errorOf(call, rule);
}

/** What the fault makes of the answer to a call that was served. */
export function faultAfter(call: GraphCall, rule: FaultRule, answer: Answer): Answer {
  const error = rule.applyFirst ? errorOf(call, rule) : null;
  return spoilAnswer(call, rule, error ?? answer);
}

function errorOf(call: GraphCall, rule: FaultRule): Answer | null {
  const details = errorFaults[rule.action]?.(call, rule) ?? null;
  if (details === null) return null;
  if (rule.action === 'permission_revoked') declinePermission(call, rule);
  return errorAnswer(details);
}

function declinePermission(call: GraphCall, rule: FaultRule): void {
  const permission = textParam(rule, 'permission', 'instagram_manage_comments');
  const grant = call.token === null ? undefined : findGrant(call.world.state, call.token);
  if (grant === undefined) return;
  if (rule.params['webhook'] === true) revokePermission(call.world, grant.subjectId, permission);
  else if (grant.permissions[permission] !== undefined) grant.permissions[permission].status = 'declined';
}

function fires(call: GraphCall, rule: FaultRule): boolean {
  if (!matches(call, rule)) return false;
  rule.seen += 1;
  const { nth, probability } = rule.match;
  if (rule.seen <= rule.after) return false;
  if (nth !== undefined && rule.seen !== nth) return false;
  if (rule.times !== null && rule.fired >= rule.times) return false;
  return probability === undefined || random(call.world) < probability;
}

function matches(call: GraphCall, rule: FaultRule): boolean {
  const { match, action } = rule;
  if (match.host !== undefined && match.host !== call.host) return false;
  if (match.method !== undefined && match.method.toUpperCase() !== call.method) return false;
  if (match.path !== undefined && !globMatches(match.path, call.path)) return false;
  if (match.token !== undefined && match.token !== call.token?.label) return false;
  if (match.account !== undefined && !concerns(call, match.account)) return false;
  if (errorFaults[action]?.(call, rule) === null) return false;
  return action !== 'empty_page' || call.path.endsWith('/accounts');
}

function concerns(call: GraphCall, id: string): boolean {
  return accountOf(call) === id || call.token?.pageId === id || call.path.split('/').includes(id);
}

function globMatches(glob: string, path: string): boolean {
  const escaped = glob.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`).test(path);
}
