import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox';
import { type Receiver } from './receiver';

export const APP_ID = '512004470011223';
export const APP_SECRET = 'demo-meta-app-secret';
export const APP_TOKEN = `${APP_ID}|${APP_SECRET}`;
export const REDIRECT_URI = 'http://localhost:3000/oauth/callback';
export const ADA = '10225550001112223';
export const BRUNO = '10225550004445557';
export const CLEO = '10225550007778881';
export const BAR_PAGE = '104455667788990';
export const HOTEL_PAGE = '104455667788993';
export const BAR = '17841455500011122';

export const SCOPES = [
  'pages_show_list',
  'pages_read_engagement',
  'pages_manage_metadata',
  'instagram_basic',
  'instagram_manage_comments',
  'instagram_manage_messages',
];

export function start(receiver: Receiver | null, more: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  return startSandbox({
    ...more,
    app: {
      appId: APP_ID,
      appSecret: APP_SECRET,
      instagramAppId: '698877001122334',
      instagramAppSecret: 'demo-ig-app-secret',
      redirectUris: [REDIRECT_URI],
      webhookUrl: receiver === null ? 'http://127.0.0.1:1/webhook' : `${receiver.url}/webhook`,
      verifyToken: 'demo-verify-token',
      ...(receiver === null ? {} : { deauthorizeUrl: `${receiver.url}/deauthorize` }),
      ...more.app,
    },
  });
}

export function dialogUrl(sandbox: Sandbox, more: Record<string, string> = {}): string {
  const query = new URLSearchParams({
    client_id: APP_ID,
    redirect_uri: REDIRECT_URI,
    state: 'state-1',
    scope: SCOPES.join(','),
    ...more,
  });
  return `${sandbox.bases.META_DIALOG_BASE}/v26.0/dialog/oauth?${query.toString()}`;
}

/** Walks through the dialog and returns the parameters the app's redirect URI gets. */
export async function answerDialog(sandbox: Sandbox, more: Record<string, string>): Promise<URLSearchParams> {
  const response = await fetch(dialogUrl(sandbox, more), { redirect: 'manual' });
  const location = response.headers.get('location');
  if (location === null) throw new Error(`No redirect: ${response.status}`);
  return new URL(location).searchParams;
}

export interface GraphAnswer {
  status: number;
  headers: Headers;
  text: string;
  // Graph answers are read the way a test needs them.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
}

export async function graph(
  sandbox: Sandbox,
  path: string,
  params: Record<string, string> = {},
  method = 'GET',
): Promise<GraphAnswer> {
  const query = new URLSearchParams(params).toString();
  const response = await fetch(`${sandbox.bases.META_GRAPH_BASE}/v26.0${path}?${query}`, { method });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: parsed(text) };
}

/** Asks for a token with a code, the way the app does. */
export function exchangeCode(sandbox: Sandbox, code: string, more: Record<string, string> = {}) {
  return graph(sandbox, '/oauth/access_token', {
    client_id: APP_ID,
    client_secret: APP_SECRET,
    redirect_uri: REDIRECT_URI,
    code,
    ...more,
  });
}

export async function shortToken(sandbox: Sandbox, more: Record<string, string> = {}): Promise<string> {
  const answer = await answerDialog(sandbox, { _auto: 'grant', ...more });
  const { body } = await exchangeCode(sandbox, answer.get('code') ?? '');
  return body.access_token as string;
}

export async function longToken(sandbox: Sandbox, more: Record<string, string> = {}): Promise<string> {
  const { body } = await exchangeToken(sandbox, await shortToken(sandbox, more));
  return body.access_token as string;
}

export function exchangeToken(sandbox: Sandbox, token: string) {
  return graph(sandbox, '/oauth/access_token', {
    grant_type: 'fb_exchange_token',
    client_id: APP_ID,
    client_secret: APP_SECRET,
    fb_exchange_token: token,
  });
}

export async function pageToken(sandbox: Sandbox, userToken: string, pageId = BAR_PAGE): Promise<string> {
  const { body } = await graph(sandbox, `/${pageId}`, { fields: 'access_token', access_token: userToken });
  return body.access_token as string;
}

/** Everything an app does to hear from Ada's bar. */
export async function connectBar(sandbox: Sandbox, more: Record<string, string> = {}): Promise<string> {
  await sandbox.subscribeApp();
  const token = await pageToken(sandbox, await longToken(sandbox, more));
  const install = { subscribed_fields: 'feed', access_token: token };
  await graph(sandbox, `/${BAR_PAGE}/subscribed_apps`, install, 'POST');
  return token;
}

export function control(
  sandbox: Sandbox,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  return fetch(`${sandbox.url}/_sandbox${path}`, {
    ...(body === undefined
      ? {}
      : {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers },
        }),
    redirect: 'manual',
  });
}

export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('The awaited condition never came true.');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
