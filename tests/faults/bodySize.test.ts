import net from 'node:net';
import { useDatabase } from '../support/database';
import { commentItem, notification, sign } from '../support/webhook';
import { watchMemory } from './support/memory';
import { type Server, settings, startServer } from './support/processes';
import { type Answer, Sender } from './support/sender';

const LIMIT_BYTES = 4 * 1024 * 1024;
const ITEMS = 1000;
const PARALLEL = 20;
const MAX_GROWTH_MEGABYTES = 100;
const CUT_WITHIN_SECONDS = 45;

const { pool, config } = useDatabase();
let server: Server;
let sender: Sender;

beforeAll(async () => {
  server = await startServer(settings(config.connectionString));
  sender = new Sender(server.port);
});
afterEach(() => expect(server.isRunning).toBe(true));
afterAll(() => sender.close());

describe('a body of a thousand items', () => {
  it.each([900_000, 3_000_000, LIMIT_BYTES])('is stored (%i bytes)', async (bytes) => {
    expect(await sender.post(largeBody(String(bytes), bytes))).toBe(200);
    expect(await countEvents(String(bytes))).toBe(ITEMS);
  });

  it('is refused from one byte over the limit on', async () => {
    expect(await sender.post(largeBody('over', LIMIT_BYTES + 1))).toBe(413);
    expect(await countEvents('over')).toBe(0);
  });

  it(`comes ${PARALLEL} times at once and does not fill the memory`, async () => {
    const names = Array.from({ length: PARALLEL }, (_value, index) => `at-once-${index}`);
    const bodies = new Map(names.map((name) => [name, largeBody(name, 3_000_000)]));
    const memory = watchMemory(server);
    const answers = new Set<Answer>();
    await sender.postAll(bodies, (_name, answer) => answers.add(answer));
    const growth = memory.growthInMegabytes();
    expect([...answers].filter((answer) => answer !== 200 && answer !== 503)).toEqual([]);
    expect(growth).toBeLessThan(MAX_GROWTH_MEGABYTES);
  });
});

describe('a body that is not as long as its head says', () => {
  const body = notification('lying', { changes: [commentItem('c')] });

  it('is refused when it is longer, and what is over is no request', async () => {
    const answered = await statuses(head(`Content-Length: ${body.length - 10}`) + body);
    expect(answered.length).toBeGreaterThan(0);
    expect(answered.filter((status) => status !== 401 && status !== 400)).toEqual([]);
    expect(await countEvents('lying')).toBe(0);
  });

  it('is cut off when it does not end', async () => {
    const cutOff = await Promise.all([
      statuses(head(`Content-Length: ${body.length + 10}`) + body),
      statuses(head('Transfer-Encoding: chunked') + chunk(body)),
      statuses(head('Transfer-Encoding: chunked') + chunk('x'.repeat(64 * 1024)).repeat(80)), // over the limit
    ]);
    for (const answered of cutOff) expect([[], [408], [413]]).toContainEqual(answered);
    expect(await countEvents('lying')).toBe(0);
  });

  function head(lengthHeader: string): string {
    return `POST /webhook HTTP/1.1\r\nHost: localhost\r\nX-Hub-Signature-256: ${sign(body)}\r\n${lengthHeader}\r\n\r\n`;
  }
});

describe('a signature header', () => {
  it('of 16 kB is refused', async () => {
    const request = `POST /webhook HTTP/1.1\r\nHost: localhost\r\nX-Hub-Signature-256: sha256=${'a'.repeat(16 * 1024)}\r\n\r\n`;
    expect([401, 431]).toContain((await statuses(request))[0]);
  });
});

/** Sends this and nothing more. @returns the status of every answer until the other side closes the connection */
function statuses(request: string): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => socket.write(request));
    const limit = setTimeout(
      () => socket.destroy(new Error('The connection stayed open.')),
      CUT_WITHIN_SECONDS * 1000,
    );
    let answer = '';
    let failure: Error | undefined;
    socket.setEncoding('latin1').on('data', (text: string) => (answer += text));
    // What is cut off while we send is reset.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') failure = error;
    });
    socket.on('close', () => {
      clearTimeout(limit);
      if (failure !== undefined) reject(failure);
      else resolve([...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map((match) => Number(match[1])));
    });
  });
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

/** A thousand comments in a body of exactly so many bytes. */
function largeBody(account: string, bytes: number): string {
  const make = (textLength: number) =>
    notification(account, {
      changes: Array.from({ length: ITEMS }, (_value, index) =>
        commentItem(`c-${index}`, 'x'.repeat(textLength)),
      ),
    });
  const textLength = Math.floor((bytes - make(0).length) / ITEMS);
  const body = make(textLength);
  return body + ' '.repeat(bytes - body.length);
}

async function countEvents(account: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    'SELECT count(*)::integer AS count FROM webhook_events WHERE entry_id = $1',
    [account],
  );
  return rows[0]!.count;
}
