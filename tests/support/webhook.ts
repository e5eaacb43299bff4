import { createHmac } from 'node:crypto';
import { META_SECRET } from './app';

export function sign(body: string | Buffer, secret = META_SECRET): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/** POSTs a body as Meta would. */
export function deliver(
  url: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${url}/webhook`, {
    method: 'POST',
    body: typeof body === 'string' ? body : new Uint8Array(body),
    headers: { 'Content-Type': 'application/json', 'X-Hub-Signature-256': sign(body), ...headers },
  });
}

let counter = 0;

export function commentItem(id: string, text = 'Are you open on Sunday?'): object {
  const value = {
    id,
    from: { id: '1203344556677889', username: 'lena.demo' },
    media: { id: '17955501234567001', media_product_type: 'FEED' },
    text,
  };
  return { field: 'comments', value };
}

export function messageItem(mid: string, igUserId: string, text = 'Hello'): object {
  return {
    sender: { id: '1203344556677889' },
    recipient: { id: igUserId },
    timestamp: 1795000003123 + ++counter,
    message: { mid, text },
  };
}

/** The body of a POST with these items of one account. */
export function notification(
  igUserId: string,
  { changes, messaging }: { changes?: object[]; messaging?: object[] },
): string {
  const entry = {
    id: igUserId,
    time: 1795000001,
    ...(changes === undefined ? {} : { changes }),
    ...(messaging === undefined ? {} : { messaging }),
  };
  return JSON.stringify({ object: 'instagram', entry: [entry] });
}
