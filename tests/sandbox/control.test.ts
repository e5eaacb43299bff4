import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox';
import { startReceiver, type Receiver } from './receiver';
import { BAR, connectBar, control, graph, longToken, pageToken, start, until } from './support';

let receiver: Receiver;
let folder: string;
const opened: Sandbox[] = [];

beforeEach(async () => {
  receiver = await startReceiver();
  folder = mkdtempSync(path.join(tmpdir(), 'sandbox-test-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sandbox) => sandbox.close()));
  await receiver.close();
  rmSync(folder, { recursive: true });
});

describe('the snapshot', () => {
  it('lets a restart know its tokens and finish its outbox', async () => {
    const stateFile = path.join(folder, 'state.json');
    const first = await open({ stateFile });
    const token = await connectBar(first);
    receiver.statuses = [503, 503];
    first.customerComments({ text: 'Before the restart' });
    await first.settle();
    await first.close();

    const second = await open({ stateFile });
    expect((await graph(second, '/me', { access_token: token })).status).toBe(200);
    second.advanceClock(1000);
    await second.settle();
    expect(receiver.posts).toHaveLength(3);
    expect(second.state.outbox[0]?.state).toBe('delivered');
  });

  it('is on disk soon after a change, whole at any moment', async () => {
    const stateFile = path.join(folder, 'state.json');
    const sandbox = await open({ stateFile });
    const token = await longToken(sandbox);
    await until(() => contains(stateFile, token));
    const copy = path.join(folder, 'killed.json');
    writeFileSync(copy, readFileSync(stateFile));
    const restarted = await open({ stateFile: copy });
    expect((await graph(restarted, '/me', { access_token: token })).status).toBe(200);
  });

  it('moves an unreadable one aside and starts afresh', async () => {
    const stateFile = path.join(folder, 'state.json');
    writeFileSync(stateFile, '{"format":1,');
    const sandbox = await open({ stateFile });
    expect(sandbox.state.people).toHaveLength(3);
    expect(readFileSync(`${stateFile}.unusable`, 'utf8')).toBe('{"format":1,');
  });

  it('follows the app to a new address', async () => {
    const stateFile = path.join(folder, 'state.json');
    const first = await open({ stateFile });
    await connectBar(first);
    await first.close();
    const moved = await startReceiver();
    const second = await start(moved, { stateFile });
    opened.push(second);
    second.customerComments({ text: 'Moved' });
    await second.settle();
    expect(moved.posts).toHaveLength(1);
    await moved.close();
  });
});

describe('starting', () => {
  it('takes another port when the wanted one is in use', async () => {
    const first = await open();
    const port = Number(new URL(first.url).port);
    const second = await open({ port });
    expect(new URL(second.url).port).not.toBe(String(port));
    expect(second.bases.META_GRAPH_BASE).toBe(`${second.url}/graph.facebook.com`);
  });

  it('refuses to run in production', async () => {
    const before = process.env['NODE_ENV'];
    process.env['NODE_ENV'] = 'production';
    try {
      await expect(startSandbox({ app: {} as never })).rejects.toThrow('production');
    } finally {
      process.env['NODE_ENV'] = before;
    }
  });
});

describe('control routes', () => {
  it('move the clock', async () => {
    const sandbox = await open();
    const before = sandbox.now();
    await control(sandbox, '/clock', { advance: '61d' });
    expect(sandbox.now() - before).toBeGreaterThanOrEqual(61 * 86_400_000);
    await control(sandbox, '/clock', { advance: 'reset' });
    expect(Math.abs(sandbox.now() - Date.now())).toBeLessThan(1000);
    expect((await control(sandbox, '/clock', { advance: 'soon' })).status).toBe(400);
  });

  it('go back to the seed', async () => {
    const sandbox = await open();
    await pageToken(sandbox, await longToken(sandbox));
    await control(sandbox, '/reset', {});
    expect(sandbox.state.tokens).toEqual([]);
    expect(sandbox.state.comments).toHaveLength(20);
    expect(sandbox.state.media).toHaveLength(10);
  });

  it('send webhooks', async () => {
    const sandbox = await open();
    await connectBar(sandbox);
    const response = await control(sandbox, '/webhooks', { template: 'comment', account: BAR, count: 2 });
    expect(response.status).toBe(202);
    await control(sandbox, '/outbox/settle', {});
    expect(receiver.posts).toHaveLength(2);
    expect((await control(sandbox, '/webhooks', { template: 'nonsense' })).status).toBe(400);
  });

  it('are closed to other sites and to foreign host names', async () => {
    const sandbox = await open();
    const evil = { origin: 'https://evil.example' };
    expect((await control(sandbox, '/reset', {}, evil)).status).toBe(403);
    expect((await control(sandbox, '/reset', {}, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect(await statusFor(sandbox, 'evil.example')).toBe(403);
    expect(await statusFor(sandbox, 'localhost:4900')).toBe(200);
  });

  function statusFor(sandbox: Sandbox, host: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      request(`${sandbox.url}/_sandbox/state`, { headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
  }
});

describe('the control page', () => {
  it('is where the root leads, says what it is and needs no script', async () => {
    const sandbox = await open();
    const response = await fetch(sandbox.url);
    expect(response.url).toBe(`${sandbox.url}/_sandbox/ui`);
    const html = await response.text();
    expect(html).toContain('Simulation — not Meta');
    expect(html).not.toMatch(/<script|style=/);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('writes a comment and shows that it was delivered', async () => {
    const sandbox = await open();
    await connectBar(sandbox);
    const html = await submit(sandbox, { do: 'comment', text: 'From <b>the</b> page', customer: 'aiko' });
    expect(receiver.posts).toHaveLength(1);
    expect(html).toContain('Delivered to the app.');
    expect(html).toContain('From &lt;b&gt;the&lt;/b&gt; page');
  });

  it('says why nothing was delivered and leads to the app', async () => {
    const sandbox = await open();
    await sandbox.subscribeApp();
    const html = await submit(sandbox, { do: 'message', text: 'Hello?' });
    expect(html).toContain('connect this account in the app first');
    expect(html).toContain('href="http://localhost:3000/accounts"');
  });

  it('keeps what was typed when something is missing', async () => {
    const sandbox = await open();
    const html = await submit(sandbox, { do: 'comment', text: '  ' });
    expect(html).toContain('Write something first.');
  });

  it.each([
    '',
    '?do=reply',
    '?do=reaction',
    '?do=edit',
    '?do=unsend',
    '?do=many',
    '?do=story-mention',
    '?do=mention',
  ])('shows the form at %s', async (query) => {
    const sandbox = await open();
    expect((await fetch(`${sandbox.url}/_sandbox/ui${query}`)).status).toBe(200);
  });

  it('switches faults, moves the clock and shows calls and deliveries', async () => {
    const sandbox = await open();
    await connectBar(sandbox);
    sandbox.customerComments({ text: 'Hello' });
    await sandbox.settle();
    await post(sandbox, '/faults', { name: 'token_expired', mode: 'once' });
    expect(sandbox.state.faults).toMatchObject([{ action: 'token_expired', times: 1 }]);
    await post(sandbox, '/clock', { advance: '7d' });
    expect(await page(sandbox, '/conditions')).toContain('7 days ahead');
    expect(await page(sandbox, '/calls')).toContain('/104455667788990/subscribed_apps');
    expect(await page(sandbox, '/deliveries')).toContain('Comment by lena.demo to @bar.example');
  });

  async function submit(sandbox: Sandbox, fields: Record<string, string>): Promise<string> {
    return (await post(sandbox, '/act', { account: BAR, customer: 'lena', ...fields })).text();
  }

  function post(sandbox: Sandbox, where: string, fields: Record<string, string>) {
    return fetch(`${sandbox.url}/_sandbox/ui${where}`, { method: 'POST', body: new URLSearchParams(fields) });
  }

  async function page(sandbox: Sandbox, where: string): Promise<string> {
    return (await fetch(`${sandbox.url}/_sandbox/ui${where}`)).text();
  }
});

async function open(more: Parameters<typeof start>[1] = {}): Promise<Sandbox> {
  const sandbox = await start(receiver, more);
  opened.push(sandbox);
  return sandbox;
}

function contains(file: string, text: string): boolean {
  try {
    return readFileSync(file, 'utf8').includes(text);
  } catch {
    return false;
  }
}
