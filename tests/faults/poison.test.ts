import { useDatabase } from '../support/database';
import { shuffled } from '../support/shuffle';
import { commentBatches, deliverInOrder } from './support/deliveries';
import { figure } from './support/figures';
import { endOf, type Program, settings, startProcessor, waitUntil } from './support/processes';
import { random } from './support/random';
import { countEffects, deviations, makeAccounts, queueState } from './support/queue';

const ATTEMPTS = 4;
const HELD = `FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;

describe('an event that kills its worker each time its handler runs', () => {
  const { pool, config } = useDatabase();
  const ACCOUNTS = figure(20, 40);
  const EVENTS = figure(1200, 4000);
  const WORKERS = 4;
  const KILLER = `c-${Math.round(EVENTS / 3)}`;

  it('is given up after four starts, and nothing else is', async () => {
    const accounts = await makeAccounts(pool, ACCOUNTS);
    await deliverInOrder(pool, commentBatches(spread(accounts, 'c', EVENTS)));
    await countEffects(pool);
    await pool.query(`
      CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_sleep(60);
        RETURN NEW;
      END $$;
      CREATE TRIGGER hold BEFORE INSERT ON interactions
        FOR EACH ROW WHEN (NEW.external_id = '${KILLER}') EXECUTE FUNCTION hold()`);

    const start = () => startProcessor({ ...settings(config.connectionString), WEBHOOK_LEASE_SECONDS: '2' });
    const workers = Array.from({ length: WORKERS }, start);
    let kills = 0;
    while (kills <= ATTEMPTS) {
      let victim: Program | undefined;
      await waitUntil('its handler runs or it is given up', async () => {
        victim = await whoRunsIt(workers);
        return victim !== undefined || (await statusOfKiller()) === 'dead_letter';
      });
      if (victim === undefined) break;
      victim.signal('SIGKILL');
      kills++;
      await endOf(victim, 10);
      await endHeldSession();
      workers[workers.indexOf(victim)] = start();
    }
    expect(kills).toBe(ATTEMPTS);
    await waitUntil('nothing is left to do', async () => {
      const { pending, processing, failed } = await queueState(pool);
      return pending + processing + failed === 0;
    });
    expect(await queueState(pool)).toEqual({
      processed: EVENTS - 1,
      pending: 0,
      processing: 0,
      failed: 0,
      dead_letter: 1,
    });
    expect(await attemptsOfKiller()).toBe(ATTEMPTS);
    expect(await deviations(pool, EVENTS)).toEqual({
      'unfinished events': 1,
      'missing effects': 1,
      'uncounted effects': 1,
      'unlogged events': 1,
    });
    await stop(workers);
  });

  /** Undefined while no worker waits in that handler. */
  async function whoRunsIt(workers: Program[]): Promise<Program | undefined> {
    const { rows } = await pool.query<{ worker: string }>(
      `SELECT locked_by AS worker
       FROM webhook_events
       WHERE payload -> 'value' ->> 'id' = $1 AND status = 'processing' AND EXISTS (SELECT ${HELD})`,
      [KILLER],
    );
    const [row] = rows;
    return workers.find(({ pid }) => row?.worker.endsWith(`:${pid}`));
  }

  /** The database notices only late that nobody waits for its answer. */
  async function endHeldSession(): Promise<void> {
    await pool.query(`SELECT pg_terminate_backend(pid) ${HELD}`);
    await waitUntil('its session is gone', async () => {
      const { rowCount } = await pool.query(`SELECT ${HELD}`);
      return rowCount === 0;
    });
  }

  async function statusOfKiller(): Promise<string> {
    const { rows } = await pool.query<{ status: string }>(
      `SELECT status FROM webhook_events WHERE payload -> 'value' ->> 'id' = $1`,
      [KILLER],
    );
    return rows[0]!.status;
  }

  async function attemptsOfKiller(): Promise<number> {
    const { rows } = await pool.query<{ count: number }>(
      `SELECT count(*)::integer AS count
       FROM webhook_event_log log
       JOIN webhook_events event ON event.id = log.event_id
       WHERE event.payload -> 'value' ->> 'id' = $1`,
      [KILLER],
    );
    return rows[0]!.count;
  }
});

describe('events that always fail', () => {
  const { pool, config } = useDatabase();
  const BAD = 100;
  const GOOD = figure(1000, 2000);

  it('hold up none of the others, and get four attempts each', async () => {
    const accounts = await makeAccounts(pool, 40);
    const half = (which: number) => accounts.filter((_account, index) => index % 2 === which);
    const comments = [...spread(half(0), 'bad', BAD), ...spread(half(1), 'good', GOOD)];
    await deliverInOrder(pool, commentBatches(shuffled(comments, random)));
    await countEffects(pool);
    await pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'broken';
      END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON interactions
        FOR EACH ROW WHEN (NEW.external_id LIKE 'bad-%') EXECUTE FUNCTION refuse()`);
    const workers = [1, 2].map(() => startProcessor(settings(config.connectionString)));
    await waitUntil('the others are done', async () => (await queueState(pool)).processed === GOOD);
    expect((await queueState(pool)).dead_letter).toBe(0); // they have their last attempt after 36 s
    await waitUntil('the bad ones are given up', async () => {
      await pool.query(
        `UPDATE webhook_events SET next_attempt_at = now() WHERE status = 'failed' AND next_attempt_at > now()`,
      );
      return (await queueState(pool)).dead_letter === BAD;
    });
    await stop(workers);

    const { rows } = await pool.query<{ name: string; attempts: number; events: number }>(
      `SELECT split_part(payload -> 'value' ->> 'id', '-', 1) AS name, attempts, count(*)::integer AS events
       FROM (
         SELECT event.payload, count(*)::integer AS attempts
         FROM webhook_event_log log
         JOIN webhook_events event ON event.id = log.event_id
         GROUP BY event.id
       ) tried
       GROUP BY 1, 2
       ORDER BY 1, 2`,
    );
    expect(rows).toEqual([
      { name: 'bad', attempts: ATTEMPTS, events: BAD },
      { name: 'good', attempts: 1, events: GOOD },
    ]);
    expect(await deviations(pool, BAD + GOOD)).toEqual({
      'unfinished events': BAD,
      'missing effects': BAD,
      'uncounted effects': BAD,
      'unlogged events': BAD,
    });
  });
});

/** So many comments, one account after the other: NAME-0, NAME-1 … */
function spread(accounts: string[], name: string, count: number): { account: string; id: string }[] {
  return Array.from({ length: count }, (_value, index) => ({
    account: accounts[index % accounts.length]!,
    id: `${name}-${index}`,
  }));
}

async function stop(workers: Program[]): Promise<void> {
  for (const worker of workers) worker.signal('SIGTERM');
  for (const worker of workers) expect(await endOf(worker, 15)).toMatchObject({ code: 0, stderr: '' });
}
