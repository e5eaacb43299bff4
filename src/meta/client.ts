import { createHmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import axios, { type AxiosInstance, type AxiosResponse } from 'axios';
import { type z } from 'zod';
import { type MetaConfig } from '../config';
import { createAgents } from './agents';
import { readError } from './envelope';
import { MetaApiError, type MetaApiErrorDetails } from './errors';
import { parseMetaJson } from './json';
import { readWait } from './usage';

export interface GraphCall<T> {
  /** Below the version, with a leading slash. */
  path: string;
  params?: Readonly<Record<string, string>>;
  /** Sent with its appsecret_proof. Absent for calls that identify the app by its secret. */
  token?: string;
  /** What of the answer is read; an answer that does not fit counts as trouble at Meta. */
  schema: z.ZodType<T>;
  signal?: AbortSignal | undefined;
  /** False for a GET that changes something at Meta, like the exchange of a code that works once. */
  isRepeatable?: boolean;
}

export interface GraphClient {
  readonly appId: string;
  /** Names the app itself; as secret as its secret. */
  readonly appToken: string;
  readonly appCredentials: { client_id: string; client_secret: string };
  /** Tried again, up to twice, when that may help. @throws MetaApiError */
  get<T>(call: GraphCall<T>): Promise<T>;
  /** Tried once: Meta knows no idempotency key. @throws MetaApiError */
  post<T>(call: GraphCall<T>): Promise<T>;
  /** Tried once. @throws MetaApiError */
  delete<T>(call: GraphCall<T>): Promise<T>;
}

export interface Timing {
  /** One call from the first byte sent to the last one read. */
  callTimeoutMs: number;
  /** All tries of a read together. */
  deadlineMs: number;
  /** The first pause; it doubles, and half of it on average is really waited. */
  firstPauseMs: number;
}
const TIMING: Timing = { callTimeoutMs: 8_000, deadlineMs: 10_000, firstPauseMs: 200 };
const MOST_TRIES = 3;
const LARGEST_ANSWER_BYTES = 2 * 1024 * 1024;

type Method = 'GET' | 'POST' | 'DELETE';

/** Calls to the Graph API in the configured version. Redirects are not followed, so a secret goes nowhere else. */
export function createGraphClient(meta: MetaConfig, timing: Timing = TIMING): GraphClient {
  const [secret = ''] = meta.appSecrets;
  const base = `${meta.graphBase}/${meta.graphVersion}`;
  const transport = axios.create({
    ...createAgents(),
    maxRedirects: 0,
    maxContentLength: LARGEST_ANSWER_BYTES,
    maxBodyLength: LARGEST_ANSWER_BYTES,
    proxy: false,
    responseType: 'text',
    transformResponse: (raw: unknown) => raw,
    validateStatus: () => true,
    headers: { Accept: 'application/json' },
  });

  async function once<T>(method: Method, call: GraphCall<T>): Promise<T> {
    const isWrite = method !== 'GET' || call.isRepeatable === false;
    const params = { ...call.params, ...(call.token === undefined ? {} : authorisation(call.token, secret)) };
    const response = await send(transport, { method, url: base + call.path, params, call, timing, isWrite });
    return readAnswer(response, call, isWrite, secretsOf(params, secret));
  }

  return {
    appId: meta.appId,
    appToken: `${meta.appId}|${secret}`,
    appCredentials: { client_id: meta.appId, client_secret: secret },
    get: (call) =>
      call.isRepeatable === false ? once('GET', call) : repeat(() => once('GET', call), call.signal, timing),
    post: (call) => once('POST', call),
    delete: (call) => once('DELETE', call),
  };
}

/** @see https://developers.facebook.com/docs/graph-api/guides/secure-requests */
export function appSecretProof(token: string, appSecret: string): string {
  return createHmac('sha256', appSecret).update(token).digest('hex');
}

function authorisation(token: string, secret: string): Record<string, string> {
  return { access_token: token, appsecret_proof: appSecretProof(token, secret) };
}

/** Full jitter: many clients that failed together do not come back together. */
async function repeat<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal | undefined,
  timing: Timing,
): Promise<T> {
  const deadline = Date.now() + timing.deadlineMs;
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const pauseMs = Math.random() * timing.firstPauseMs * 2 ** tries;
      const mayHelp = error instanceof MetaApiError && error.action === 'retry' && signal?.aborted !== true;
      if (!mayHelp || tries >= MOST_TRIES || Date.now() + pauseMs > deadline) throw error;
      await sleep(pauseMs, undefined, { signal }).catch(() => {
        throw error;
      });
    }
  }
}

interface Sending {
  method: Method;
  url: string;
  params: Record<string, string>;
  call: { signal?: AbortSignal | undefined };
  timing: Timing;
  isWrite: boolean;
}

/** Throws away what axios throws: it holds the URL, and with it the token. */
async function send(transport: AxiosInstance, request: Sending): Promise<AxiosResponse<unknown>> {
  const { method, url, params, call, timing, isWrite } = request;
  const timeout = AbortSignal.timeout(timing.callTimeoutMs);
  const signal = call.signal === undefined ? timeout : AbortSignal.any([timeout, call.signal]);
  try {
    const place = method === 'POST' ? { data: new URLSearchParams(params) } : { params };
    return await transport.request<unknown>({ method, url, ...place, signal });
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const reason = signal.aborted ? 'timed out or stopped' : typeof code === 'string' ? code : 'failed';
    throw new MetaApiError(`No answer: ${reason}`, { ...NO_ENVELOPE, status: 0, isWrite });
  }
}

const NO_ENVELOPE = {
  code: null,
  subcode: null,
  isTransient: false,
  traceId: null,
  retryAfterSeconds: null,
};

function readAnswer<T>(
  response: AxiosResponse<unknown>,
  call: GraphCall<T>,
  isWrite: boolean,
  secrets: readonly string[],
): T {
  const { status } = response;
  const retryAfterSeconds = readWait(response.headers);
  const fail = (message: string, details: Partial<MetaApiErrorDetails> = {}) =>
    new MetaApiError(without(secrets, message), {
      ...NO_ENVELOPE,
      status,
      isWrite,
      retryAfterSeconds,
      ...details,
    });
  let body: unknown;
  try {
    body = parseMetaJson(typeof response.data === 'string' ? response.data : '');
  } catch {
    throw fail(`HTTP ${status} without readable JSON`);
  }
  const error = readError(body);
  if (error !== null) throw fail(error.message, error);
  if (status < 200 || status > 299) throw fail(`HTTP ${status} without an error`);
  const parsed = call.schema.safeParse(body);
  // Zod's messages name fields and types, never values.
  if (!parsed.success) throw fail(`An answer of another shape: ${parsed.error.issues[0]?.message ?? ''}`);
  return parsed.data;
}

function secretsOf(params: Record<string, string>, appSecret: string): string[] {
  const names = ['access_token', 'input_token', 'fb_exchange_token', 'code', 'appsecret_proof'];
  return [appSecret, ...names.map((name) => params[name] ?? '')].filter((value) => value.length > 3);
}

function without(secrets: readonly string[], text: string): string {
  return secrets.reduce((result, value) => result.replaceAll(value, '[redacted]'), text);
}
