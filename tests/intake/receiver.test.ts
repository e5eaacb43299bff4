import http from 'node:http';
import { useApp } from '../support/app';
import { commentItem, deliver, notification, sign } from '../support/webhook';

const app = useApp();

/** Sends all of a body but its last byte. @returns the status, once it comes */
function sendAlmost(bytes: number): {
  status: Promise<number | undefined>;
  sent: Promise<void>;
  stop: () => void;
} {
  const request = http.request(`${app.url}/webhook`, {
    method: 'POST',
    headers: { 'Content-Length': bytes, 'X-Hub-Signature-256': sign('anything') },
  });
  const status = new Promise<number | undefined>((resolve) => {
    request.once('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.once('error', () => resolve(undefined));
  });
  const sent = new Promise<void>((resolve) => request.write(Buffer.alloc(bytes - 1, ' '), () => resolve()));
  return { status, sent, stop: () => request.destroy() };
}

it('gives up the oldest of too many unfinished bodies, and goes on taking whole ones', async () => {
  const hoarders = Array.from({ length: 40 }, () => sendAlmost(4 * 1024 * 1024));
  await Promise.race(hoarders.map(({ status }) => status));
  expect(await hoarders[0]!.status).toBe(503);
  const body = notification('17841455500011122', { changes: [commentItem('between')] });
  expect((await deliver(app.url, body)).status).toBe(200);
  for (const { stop } of hoarders) stop();
  expect((await deliver(app.url, body)).status).toBe(200);
});

it('lets a sender whose body is too large hear of it', async () => {
  for (let round = 0; round < 10; round++) {
    const answer = await deliver(app.url, Buffer.alloc(4 * 1024 * 1024 + 1, ' '));
    expect(answer.status).toBe(413);
  }
});

it.each(['', 'identity', ' Identity '])('takes a body whose encoding is %p', async (encoding) => {
  const body = notification('17841455500011122', { changes: [commentItem(`e${encoding}`)] });
  expect((await deliver(app.url, body, { 'Content-Encoding': encoding })).status).toBe(200);
});
