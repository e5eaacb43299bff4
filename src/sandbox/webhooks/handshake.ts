import { randomInt } from 'node:crypto';

import { callOut, NoAnswerInTime } from '../callOut';
import { type World } from '../world';

/** Asks a callback to echo a challenge (meta-platform §3.1). Null when it did, else the reason in Meta's words. */
export async function verifyCallback(
  world: World,
  callbackUrl: string,
  verifyToken: string,
): Promise<string | null> {
  const challenge = newChallenge(world);
  try {
    const url = new URL(callbackUrl);
    url.searchParams.append('hub.mode', 'subscribe');
    url.searchParams.append('hub.challenge', challenge);
    url.searchParams.append('hub.verify_token', verifyToken);
    const reply = await callOut('GET', url.href, { timeoutMs: world.state.settings.webhookDeadlineMs });
    if (reply.status !== 200) {
      return `HTTP Status Code = ${reply.status}; HTTP Message = ${reply.statusMessage}`;
    }
    return reply.body === challenge ? null : 'The answer is not the value of hub.challenge';
  } catch (error) {
    return error instanceof NoAnswerInTime
      ? 'The callback did not answer in time'
      : "The URL couldn't be reached";
  }
}

function newChallenge(world: World): string {
  switch (world.state.settings.challenge) {
    case 'huge':
      return '9'.repeat(4000);
    case 'html':
      return '<b>1158201444</b>';
    case 'integer':
      return String(randomInt(1_000_000_000, 2_000_000_000));
  }
}
