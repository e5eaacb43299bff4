import { callOut, NoAnswerInTime } from '../callOut';
import { type Delivery, type DeliveryAttempt } from '../state';
import { type World } from '../world';
import { signatureHeaders } from './signature';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Wait before the 2nd, 3rd, … attempt, on the virtual clock; the last one repeats until the time is up. */
const RETRY_GAPS_MS = [
  0,
  SECOND,
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
];
const GIVE_UP_AFTER_MS = { graph: 36 * HOUR, messenger: HOUR };
const MAX_IN_FLIGHT = 10;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Delivers what is due in the outbox, and again later what was not accepted with 200. */
export class Sender {
  readonly #inFlight = new Map<Delivery, Promise<void>>();
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly world: World) {}

  wake(): void {
    if (this.#stop.signal.aborted) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const delivery of this.#due()) {
      if (this.#inFlight.size >= MAX_IN_FLIGHT) return;
      if (this.#isLaneBusy(delivery.lane)) continue;
      this.#start(delivery);
    }
    this.#wakeForNext();
  }

  /** Resolves when nothing is under way and nothing is due now. */
  async settle(): Promise<void> {
    this.wake();
    while (this.#inFlight.size > 0 || (this.#due().length > 0 && !this.#stop.signal.aborted)) {
      await Promise.race([...this.#inFlight.values()]);
      this.wake();
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await Promise.all(this.#inFlight.values());
  }

  #due(): Delivery[] {
    const now = this.world.now();
    return this.#pending().filter((delivery) => delivery.nextAttemptAt <= now);
  }

  #pending(): Delivery[] {
    return this.world.state.outbox.filter(
      (delivery) => delivery.state === 'pending' && !this.#inFlight.has(delivery),
    );
  }

  #isLaneBusy(lane: string): boolean {
    return [...this.#inFlight.keys()].some((delivery) => delivery.lane === lane);
  }

  #start(delivery: Delivery): void {
    const attempt = this.#attempt(delivery).finally(() => {
      this.#inFlight.delete(delivery);
      this.wake();
    });
    this.#inFlight.set(delivery, attempt);
  }

  async #attempt(delivery: Delivery): Promise<void> {
    const at = this.world.now();
    const startedAt = performance.now();
    const result = await post(this.world, delivery, this.#stop.signal);
    if (this.#stop.signal.aborted && result.status === null) return;
    const attempt: DeliveryAttempt = {
      number: delivery.attempts.length + 1,
      at,
      latencyMs: Math.round(performance.now() - startedAt),
      ...result,
    };
    delivery.attempts.push(attempt);
    if (attempt.verdict === 'accepted') delivery.state = 'delivered';
    else this.#scheduleRetry(delivery);
    this.world.changed();
  }

  #scheduleRetry(delivery: Delivery): void {
    const { retryProfile } = this.world.state.settings;
    const first = delivery.attempts[0]?.at ?? this.world.now();
    if (this.world.now() - first >= GIVE_UP_AFTER_MS[retryProfile]) {
      delivery.state = 'dropped';
      if (retryProfile === 'messenger') unsubscribe(this.world, delivery);
      return;
    }
    const gap = RETRY_GAPS_MS[Math.min(delivery.attempts.length, RETRY_GAPS_MS.length) - 1] ?? 0;
    delivery.nextAttemptAt = this.world.now() + gap;
  }

  #wakeForNext(): void {
    const next = Math.min(...this.#pending().map(({ nextAttemptAt }) => nextAttemptAt));
    const waitMs = next - this.world.now();
    if (!Number.isFinite(waitMs) || waitMs <= 0) return;
    this.#timer = setTimeout(
      () => {
        this.wake();
      },
      Math.min(waitMs, MAX_TIMER_MS),
    ).unref();
  }
}

async function post(
  world: World,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<Pick<DeliveryAttempt, 'status' | 'answer' | 'verdict'>> {
  try {
    const reply = await callOut('POST', delivery.callbackUrl, {
      body: delivery.body,
      timeoutMs: world.state.settings.webhookDeadlineMs,
      signal,
      headers: {
        'Content-Type': 'application/json',
        'Content-Length': String(Buffer.byteLength(delivery.body)),
        'User-Agent': 'facebookexternalua',
        ...signatureHeaders(world.state.app, delivery.flow, delivery.body, delivery.signature),
      },
    });
    const verdict = reply.status === 200 ? 'accepted' : 'refused';
    return { status: reply.status, answer: reply.body.slice(0, 200), verdict };
  } catch (error) {
    const isTimeout = error instanceof NoAnswerInTime;
    const answer = isTimeout ? 'no answer in time' : String((error as NodeJS.ErrnoException).code ?? error);
    return { status: null, answer, verdict: isTimeout ? 'timeout' : 'unreachable' };
  }
}

/** After an hour of failures the messenger regime removes the app from the account (meta-platform §3.4). */
function unsubscribe({ state }: World, { accountIds }: Delivery): void {
  for (const page of state.pages) {
    if (accountIds.includes(page.igAccountId ?? '')) page.installs = [];
  }
  for (const account of state.igAccounts) {
    if (accountIds.includes(account.id)) account.installs = [];
  }
}
