import { setTimeout as sleep } from 'node:timers/promises';
import { useDatabase } from '../support/database';
import { commentBatches, deliverInOrder } from './support/deliveries';
import { endOf, type Program, settings, startProcessor, waitUntil } from './support/processes';
import {
  countEffects,
  deviations,
  heldBy,
  makeWaitingComments,
  queueState,
  slowAttempts,
  slowClaims,
  slowHandlers,
} from './support/queue';
import { randomBetween } from './support/random';

describe('two processors of which one is killed and replaced, twice', () => {
  const { pool, config } = useDatabase();
  const EVENTS = 3000;
  const KILLS = 2;
  const LEASE_SECONDS = 3;

  it('give each event its effect exactly once and leave none behind', async () => {
    await makeWaitingComments(pool, EVENTS);
    await countEffects(pool);
    await slowClaims(pool, 0.001);
    await slowHandlers(pool, 0.003);
    const start = () =>
      startProcessor({
        ...settings(config.connectionString),
        WEBHOOK_LEASE_SECONDS: String(LEASE_SECONDS),
      });
    const isAtWork = async (program: Program) => (await heldBy(pool, program)).started > 0;
    const survivor = start();
    let victim = start();
    for (let kills = 0; kills < KILLS;) {
      await waitUntil('it works on a batch', () => isAtWork(victim));
      await sleep(randomBetween(0, 500));
      victim.signal('SIGKILL');
      const dead = victim;
      expect((await endOf(dead, 10)).signal).toBe('SIGKILL');
      victim = start();
      if ((await heldBy(pool, dead)).claimed === 0) continue; // it was just between two batches
      kills++;
      await waitUntil(
        'nothing is held by the dead one',
        async () => (await heldBy(pool, dead)).claimed === 0,
        LEASE_SECONDS + 10,
      );
    }
    await waitUntil('the last one works on a batch', () => isAtWork(victim));
    await waitUntil('all is done', async () => (await queueState(pool)).processed === EVENTS, 120);
    expect(await deviations(pool, EVENTS)).toEqual({});
    await stop(survivor, victim);
    expect(await deviations(pool, EVENTS)).toEqual({});
  });
});

describe.each([
  // Shorter than the client's limit for a query, and longer: then the worker believes that its query failed.
  { place: 'before its effects are written', isWriting: false, leaseSeconds: 1 },
  { place: 'before its effects are written', isWriting: false, leaseSeconds: 3 },
  { place: 'while its effects are written', isWriting: true, leaseSeconds: 1 },
  { place: 'while its effects are written', isWriting: true, leaseSeconds: 3 },
])('a processor that is paused for 2.5 leases of $leaseSeconds s $place', ({ isWriting, leaseSeconds }) => {
  const { pool, config } = useDatabase();

  it('writes nothing a second time when it goes on', async () => {
    const account = await makeWaitingComments(pool, 2000);
    await countEffects(pool);
    if (isWriting) await slowHandlers(pool, 0.02);
    else await slowAttempts(pool, 0.02);
    const env = { ...settings(config.connectionString), WEBHOOK_LEASE_SECONDS: String(leaseSeconds) };
    const other = startProcessor(env);
    // What the address says wins over what the program says: its sessions are told apart by their name.
    const paused = startProcessor({
      ...env,
      DATABASE_URL: `${config.connectionString}?application_name=paused`,
    });
    await waitUntil('it is paused in the right place', async () => {
      await waitUntil('it has begun', async () => (await heldBy(pool, paused)).claimed > 0);
      await sleep(randomBetween(1, 100)); // its steps have a rhythm, which ours must not follow
      paused.signal('SIGSTOP');
      if (isWriting ? await isAsleep() : await holdsEvents(paused)) return true;
      paused.signal('SIGCONT');
      return false;
    });
    const events = await dropWaitingEvents();

    await Promise.all([
      sleep(2.5 * leaseSeconds * 1000),
      waitUntil('the rest is done without it', async () => (await queueState(pool)).processed === events),
    ]);
    await stop(other);
    paused.signal('SIGCONT');
    await deliverInOrder(pool, commentBatches([{ account, id: 'later' }]));
    const isDone = async () => (await queueState(pool)).processed === events + 1;
    await waitUntil('it does what comes next or has given up', async () => {
      return !paused.isRunning || (await isDone());
    });
    if (paused.isRunning) await stop(paused);
    else startProcessor(env);
    await waitUntil('all is done', isDone);
    expect(await deviations(pool, events + 1)).toEqual({});
  });

  /** In the trigger that slows the writing of effects. */
  async function isAsleep(): Promise<boolean> {
    const { rowCount } = await pool.query(
      `SELECT FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'paused' AND wait_event = 'PgSleep'`,
    );
    return rowCount === 1;
  }

  /** Also when the database has done all that it was told before the pause. */
  async function holdsEvents(program: Program): Promise<boolean> {
    await waitUntil('the database has done what it was told', async () => {
      const { rowCount } = await pool.query(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'paused' AND state = 'active'`,
      );
      return rowCount === 0;
    });
    return (await heldBy(pool, program)).started > 0;
  }

  /** The other shall soon come to what the paused one holds. @returns how many events there are now */
  async function dropWaitingEvents(): Promise<number> {
    await pool.query(`DELETE FROM webhook_events WHERE status = 'pending'`);
    const { rows } = await pool.query<{ count: number }>(
      'SELECT count(*)::integer AS count FROM webhook_events',
    );
    return rows[0]!.count;
  }
});

async function stop(...programs: Program[]): Promise<void> {
  for (const program of programs) program.signal('SIGTERM');
  for (const program of programs) expect(await endOf(program, 15)).toMatchObject({ code: 0, stderr: '' });
}
