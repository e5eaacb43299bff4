import { setTimeout as sleep } from 'node:timers/promises';
import { useDatabase } from '../support/database';
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
  // Shorter than the client's limit for a query: the worker goes on as if nothing had happened.
  { place: 'between the charge of an attempt and its effect', leaseSeconds: 1, isInTransaction: false },
  // Its transaction holds the event's row, which nobody can take from it.
  { place: 'in the transaction of an effect', leaseSeconds: 3, isInTransaction: true },
  // Until the database ends that transaction.
  { place: 'in a transaction that the database gives up', leaseSeconds: 5, isInTransaction: true },
])(
  'a processor that is paused for 2.5 leases of $leaseSeconds s $place',
  ({ leaseSeconds, isInTransaction }) => {
    const { pool, config } = useDatabase();

    it('writes nothing a second time when it goes on', async () => {
      await makeWaitingComments(pool, 2000);
      await countEffects(pool);
      if (isInTransaction) await slowHandlers(pool, 0.02);
      else await slowAttempts(pool, 0.02);
      const env = { ...settings(config.connectionString), WEBHOOK_LEASE_SECONDS: String(leaseSeconds) };
      const other = startProcessor(env);
      // What the address says wins over what the program says: its sessions are told apart by their name.
      const paused = startProcessor({
        ...env,
        DATABASE_URL: `${config.connectionString}?application_name=paused`,
      });
      await waitUntil('it is paused in the right place', async () => {
        await waitUntil('it has begun', async () => (await heldBy(pool, paused)).started > 0);
        paused.signal('SIGSTOP');
        if (await isHeldUp(paused)) return true;
        paused.signal('SIGCONT');
        await sleep(randomBetween(1, 50)); // its steps have a rhythm, which ours must not follow
        return false;
      });
      const events = await dropWaitingEvents();

      await Promise.all([
        sleep(2.5 * leaseSeconds * 1000),
        waitUntil('the other has done all that it could get', async () => {
          return (await queueState(pool)).processed >= (isInTransaction ? events - 1 : events);
        }),
      ]);
      const { rows } = await pool.query<{ now: Date }>('SELECT clock_timestamp() AS now');
      paused.signal('SIGCONT');
      await waitUntil('it asks for more or has given up', async () => {
        return !paused.isRunning || (await hasAskedForMore(rows[0]!.now));
      });
      await waitUntil('all is done', async () => (await queueState(pool)).processed === events);
      paused.signal('SIGTERM');
      await endOf(paused, 15);
      await stop(other);
      expect(await deviations(pool, events)).toEqual({});
    });

    /** True when the stopped process has begun an event, has others yet to begin, and is in the place we want. */
    async function isHeldUp(program: Program): Promise<boolean> {
      const states = async () => {
        const { rows } = await pool.query<{ state: string }>(
          `SELECT state FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'paused'`,
        );
        return rows.map(({ state }) => state);
      };
      await waitUntil('the database did what it was told', async () => !(await states()).includes('active'));
      const isOpen = (await states()).some((state) => state.startsWith('idle in transaction'));
      const { claimed, started } = await heldBy(pool, program);
      return isOpen === isInTransaction && started === 1 && claimed > 1;
    }

    /** The other shall soon come to what the paused one holds. @returns how many events there are now */
    async function dropWaitingEvents(): Promise<number> {
      await pool.query(`DELETE FROM webhook_events WHERE status = 'pending'`);
      const { rows } = await pool.query<{ count: number }>(
        'SELECT count(*)::integer AS count FROM webhook_events',
      );
      return rows[0]!.count;
    }

    async function hasAskedForMore(since: Date): Promise<boolean> {
      const { rowCount } = await pool.query(
        `SELECT 1
       FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'paused' AND query LIKE 'WITH due AS%' AND query_start > $1`,
        [since],
      );
      return (rowCount ?? 0) > 0;
    }
  },
);

async function stop(...programs: Program[]): Promise<void> {
  for (const program of programs) program.signal('SIGTERM');
  for (const program of programs) expect(await endOf(program, 15)).toMatchObject({ code: 0, stderr: '' });
}
