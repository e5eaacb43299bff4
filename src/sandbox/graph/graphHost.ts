import express, { Router } from 'express';

import { faultBefore, faultAfter, takeFault } from '../faults/faults';
import { type World } from '../world';
import { errorAnswer, jsonAnswer, sendAnswer, type Answer } from './answer';
import { readCall, type GraphCall } from './call';
import { requireProof, requireToken } from './checks';
import { GraphError, unknownPath } from './errors';
import { countCall } from './usage';

/**
 * One operation of a Graph host. `pattern` is a path without version, `:name` stands for one segment;
 * the first route that fits wins. An `open` operation is reached without a token.
 */
export interface GraphRoute {
  method: 'GET' | 'POST' | 'DELETE' | 'ANY';
  pattern: string;
  open?: boolean;
  /** Returns the JSON body, or throws a GraphError. */
  handle: (call: GraphCall) => unknown;
}

/** Serves a table of operations with the common checks of meta-platform §8.3, in their order. */
export function graphHost(world: World, host: string, routes: GraphRoute[]): Router {
  const router = Router();
  router.use(express.urlencoded({ extended: false, limit: '5mb' }), express.json({ limit: '5mb' }));
  router.use(async (req, res) => {
    const call = readCall(world, host, req);
    const fault = takeFault(call);
    const answer = (fault && faultBefore(call, fault)) ?? (await serve(call, routes));
    const final = fault === null ? answer : faultAfter(call, fault, answer);
    if (fault !== null) call.notes.push(`fault ${fault.action}`);
    record(call, final);
    await sendAnswer(res, final, call.version);
  });
  return router;
}

async function serve(call: GraphCall, routes: GraphRoute[]): Promise<Answer> {
  let headers: Record<string, string> = {};
  try {
    if (call.version === null) {
      throw new GraphError({ code: 2635, message: '(#2635) You are calling a version that does not exist.' });
    }
    const route = findRoute(call, routes);
    if (route?.open !== true) {
      const token = requireToken(call);
      requireProof(call, token);
    }
    headers = countCall(call);
    if (route === undefined) throw unknownPath(call.path);
    return jsonAnswer(await route.handle(call), headers);
  } catch (error) {
    if (error instanceof GraphError) return errorAnswer(error.details, headers);
    call.world.log(`sandbox: ${call.method} ${call.path} failed: ${String(error)}`);
    return errorAnswer({ status: 500, code: 1, message: 'An unknown error occurred' }, headers);
  } finally {
    call.world.changed();
  }
}

function findRoute(call: GraphCall, routes: GraphRoute[]): GraphRoute | undefined {
  return routes.find((route) => {
    if (route.method !== 'ANY' && route.method !== call.method) return false;
    const segments = matchPattern(route.pattern, call.path);
    if (segments === null) return false;
    call.segments = segments;
    return true;
  });
}

function matchPattern(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  const segments: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? '';
    if (part.startsWith(':')) segments[part.slice(1)] = value;
    else if (part !== value) return null;
  }
  return segments;
}

function record(call: GraphCall, answer: Answer): void {
  call.world.journal.add({
    at: new Date(call.world.now()).toISOString(),
    host: call.host,
    method: call.method,
    path: call.path,
    parameters: Object.keys(call.params).sort(),
    token: call.token?.label ?? (call.tokenValue === null ? null : 'unknown'),
    status: answer.manner.startsWith('drop') ? null : answer.status,
    errorCode: errorCodeOf(answer.body),
    notes: call.notes,
  });
}

function errorCodeOf(body: string): number | null {
  const code = /^\{"error":\{.*?"code":(-?\d+)/.exec(body)?.[1];
  return code === undefined ? null : Number(code);
}
