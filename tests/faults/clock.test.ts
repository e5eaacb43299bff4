import { itWith, run } from '../deploy/tools';
import { runAsAdmin, useDatabase } from '../support/database';
import { makeAccount, makeUser } from '../support/factories';
import { commentItem, notification } from '../support/webhook';
import { endOf, type Program, settings, startProcessor, startServer, waitUntil } from './support/processes';
import { countEffects, deviations, heldBy, queueState, slowHandlers } from './support/queue';
import { Sender } from './support/sender';

const EVENTS = 60;
const LEASE_SECONDS = 30;
const HOURS_MS = 3_600_000;

const { pool, config } = useDatabase();

describe('processes whose clocks are two hours wrong, in other time zones than their database', () => {
  itWith('faketime')('steal no lease, retry nothing early and write no time but the true one', async () => {
    const database = new URL(config.connectionString).pathname.slice(1);
    await runAsAdmin(`ALTER DATABASE ${database} SET timezone TO 'America/New_York'`);
    const { rows: began } = await pool.query<{ at: Date }>('SELECT now() AS at');
    await countEffects(pool);
    await slowHandlers(pool, 0.2);
    await breakFirstTries('c-3', 2);
    const env = {
      ...settings(config.connectionString),
      TZ: 'Asia/Kolkata',
      LOG_LEVEL: 'info',
      WEBHOOK_LEASE_SECONDS: String(LEASE_SECONDS),
    };
    await deliverComments(await startServer({ ...env, ...wrongClock('+2h') }));

    const right = startProcessor(env);
    await waitUntil('it holds a lease', async () => (await heldBy(pool, right)).claimed > 1);
    const early = startProcessor({ ...env, ...wrongClock('+2h') });
    const late = startProcessor({ ...env, ...wrongClock('-2h') });
    await waitUntil('all is done', async () => (await queueState(pool)).processed === EVENTS, 90);

    expect(await deviations(pool, EVENTS)).toEqual({});
    const { rows: attempts } = await pool.query<{ outcome: string; count: number }>(
      'SELECT outcome, count(*)::integer AS count FROM webhook_event_log GROUP BY outcome ORDER BY outcome',
    );
    expect(attempts).toEqual([
      { outcome: 'failed', count: 2 },
      { outcome: 'processed', count: EVENTS },
    ]);
    const [first, second] = await gapsBetweenAttempts('c-3');
    expect(first).toBeGreaterThanOrEqual(1);
    expect(second).toBeGreaterThanOrEqual(5);
    expect(await strangeTimes(began[0]!.at)).toEqual([]);

    for (const [program, hours] of [
      [right, 0],
      [early, 2],
      [late, -2],
    ] as const) {
      expect(await countProcessedBy(program)).toBeGreaterThan(0); // it did take part
      program.signal('SIGTERM');
      const { code, stdout } = await endOf(program, 15);
      expect(code).toBe(0);
      expect(clockAheadOf(stdout) / HOURS_MS).toBeCloseTo(hours, 1); // and its clock was wrong
    }
  });
});

/**
 * What faketime would set, so that the process is our own child. Only the time of day is wrong; the clock that measures
 * durations is left alone.
 */
function wrongClock(offset: string): Record<string, string> {
  const printed = run('faketime', ['-f', offset, 'env']).stdout;
  const preload = /^LD_PRELOAD=(.*)$/m.exec(printed)?.[1];
  if (preload === undefined) throw new Error(`faketime sets no LD_PRELOAD: ${printed}`);
  return { LD_PRELOAD: preload, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}

async function deliverComments(server: { port: number }): Promise<void> {
  const owner = await makeUser(pool);
  const account = await makeAccount(pool, owner.id);
  const bodies = Array.from({ length: EVENTS }, (_value, index) => {
    const id = `c-${index}`;
    return [id, notification(account.igUserId, { changes: [commentItem(id)] })] as const;
  });
  const answers = new Set<number | null>();
  const sender = new Sender(server.port, 8);
  await sender.postAll(new Map(bodies), (_id, answer) => answers.add(answer));
  sender.close();
  expect([...answers]).toEqual([200]);
}

/** Until so many attempts have failed. */
async function breakFirstTries(externalId: string, times: number): Promise<void> {
  await pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF (SELECT count(*) FROM webhook_event_log WHERE event_id = NEW.source_event_id) < ${times} THEN RAISE EXCEPTION 'broken'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON interactions
      FOR EACH ROW WHEN (NEW.external_id = '${externalId}') EXECUTE FUNCTION refuse()`);
}

/** In seconds, from the end of one attempt to the start of the next. */
async function gapsBetweenAttempts(commentId: string): Promise<number[]> {
  const { rows } = await pool.query<{ gap: number }>(
    `SELECT extract(epoch FROM next_started_at - finished_at)::double precision AS gap
     FROM (
       SELECT log.finished_at, lead(log.started_at) OVER (ORDER BY log.id) AS next_started_at
       FROM webhook_event_log log
       JOIN webhook_events event ON event.id = log.event_id
       WHERE event.payload -> 'value' ->> 'id' = $1
     ) attempts
     WHERE next_started_at IS NOT NULL`,
    [commentId],
  );
  return rows.map(({ gap }) => gap);
}

/**
 * Every stored time that lies before the test or in the future. `occurred_at` is what the sender said, and an infinite
 * hour stands for all.
 */
async function strangeTimes(began: Date): Promise<string[]> {
  const { rows: columns } = await pool.query<{ table: string; column: string }>(
    `SELECT quote_ident(table_name) AS table, quote_ident(column_name) AS column
     FROM information_schema.columns
     WHERE table_schema = 'public' AND data_type LIKE 'timestamp%' AND column_name <> 'occurred_at'
       AND table_name <> 'schema_migrations'
     ORDER BY table_name, column_name`,
  );
  const strange: string[] = [];
  for (const { table, column } of columns) {
    // An hour of counting is a beginning; two columns are plans, and these must be near.
    const earliest = column === 'hour' ? `date_trunc('hour', $1::timestamptz)` : '$1::timestamptz';
    const latest = ['next_attempt_at', 'lease_until'].includes(column)
      ? `now() + interval '${LEASE_SECONDS + 5} seconds'`
      : 'now()';
    const { rows } = await pool.query<{ at: Date }>(
      `SELECT ${column} AS at FROM ${table} WHERE isfinite(${column}) AND (${column} < ${earliest} OR ${column} > ${latest}) ORDER BY ${column}`,
      [began],
    );
    strange.push(...rows.map(({ at }) => `${table}.${column}: ${at.toISOString()}`));
  }
  return strange;
}

async function countProcessedBy({ pid }: Program): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `SELECT count(*)::integer AS count FROM webhook_event_log WHERE worker LIKE '%:' || $1`,
    [pid],
  );
  return rows[0]!.count;
}

/** By how many milliseconds the last line of the log is ahead of our clock. */
function clockAheadOf(log: string): number {
  const line = JSON.parse(log.trim().split('\n').at(-1)!) as { timestamp: string };
  return Date.parse(line.timestamp) - Date.now();
}
