import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { useDatabase } from '../support/database';
import { commentItem, notification } from '../support/webhook';
import { endOf, settings, startProcessor, startServer, waitUntil } from './support/processes';
import { countEffects, makeWaitingComments, queueState, slowHandlers } from './support/queue';
import { type Answer, Sender } from './support/sender';

const POSTS = 10;
const { pool, config } = useDatabase();

afterEach(() =>
  pool.query('TRUNCATE users, interactions, webhook_deliveries, webhook_events, webhook_event_stats CASCADE'),
);

describe('SIGTERM to a server whose database holds ten deliveries up', () => {
  it('lets them end well when the database goes on, and ends with exit code 0', async () => {
    const server = await startServer(settings(config.connectionString));
    const sender = new Sender(server.port); // its connections stay open to the end, as a proxy's do
    const answers = await whileEventsAreLocked(async () => {
      const locked = Date.now();
      const sent = await sendAndWaitForTheLock(sender);
      server.signal('SIGTERM');
      await waitUntil('new connections are refused', () => isRefused(server.port));
      await sleep(Math.max(0, locked + 1500 - Date.now()));
      expect(server.isRunning).toBe(true); // it waits for them
      return sent;
    });
    expect(await answers()).toEqual(Array.from({ length: POSTS }, () => 200));
    expect(await endOf(server, 10)).toMatchObject({ code: 0, stderr: '' });
    expect(await countEvents()).toBe(POSTS);
    sender.close();
  });

  it('refuses them when the database does not, and ends within 15 seconds', async () => {
    const server = await startServer(settings(config.connectionString));
    const sender = new Sender(server.port);
    await whileEventsAreLocked(async () => {
      const answers = await sendAndWaitForTheLock(sender);
      server.signal('SIGTERM');
      await endOf(server, 15);
      expect(await answers()).not.toContain(200);
    });
    expect(await countEvents()).toBe(0);
    sender.close();
  });

  it('is not held up by connections that are open and idle', async () => {
    const server = await startServer(settings(config.connectionString));
    const silent = net.connect(server.port, '127.0.0.1');
    const sender = new Sender(server.port);
    expect(await sender.post(notification('17841400000000001', { changes: [commentItem('only')] }))).toBe(
      200,
    );
    server.signal('SIGTERM');
    expect(await endOf(server, 10)).toMatchObject({ code: 0, stderr: '' });
    silent.destroy();
    sender.close();
  });
});

describe('SIGTERM to a processor', () => {
  const env = () => settings(config.connectionString);

  it('lets the running handlers end and hands the others back as if they had never been taken', async () => {
    const events = 500;
    await makeWaitingComments(pool, events);
    await countEffects(pool);
    await slowHandlers(pool, 0.1);
    const processor = startProcessor(env());
    await waitUntil('it is in the middle', async () => (await queueState(pool)).processed > 15);
    await waitUntil('a handler runs', () => isAnyoneWaiting('PgSleep'));
    processor.signal('SIGTERM');
    await sleep(50);
    processor.signal('SIGTERM'); // impatience changes nothing
    expect(await endOf(processor, 10)).toMatchObject({ code: 0, stderr: '' });

    const state = await queueState(pool);
    expect(state.processed).toBeLessThan(events);
    expect(state).toEqual({
      processed: state.processed,
      pending: events - state.processed,
      processing: 0,
      failed: 0,
      dead_letter: 0,
    });
    const { rows } = await pool.query<Record<string, number>>(
      `SELECT (SELECT count(*) FROM webhook_events WHERE status = 'pending' AND (attempts > 0 OR lease_token IS NOT NULL))::integer AS touched,
              (SELECT count(*) FROM webhook_event_log)::integer AS attempts,
              (SELECT count(*) FROM effects)::integer AS effects`,
    );
    expect(rows).toEqual([{ touched: 0, attempts: state.processed, effects: state.processed }]);
  });

  it('takes back the attempt of a handler that cannot end', async () => {
    await pool.query('DROP TRIGGER slow ON interactions');
    await makeWaitingComments(pool, 30);
    const client = await pool.connect();
    try {
      await client.query('BEGIN; LOCK TABLE interactions IN EXCLUSIVE MODE');
      const processor = startProcessor(env());
      await waitUntil('a handler runs', () => isAnyoneWaiting('relation'));
      processor.signal('SIGTERM');
      await sleep(50);
      processor.signal('SIGTERM');
      expect(await endOf(processor, 10)).toMatchObject({ code: 0, stderr: '' });
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    const { rows } = await pool.query(
      `SELECT status, attempts, lease_token, (SELECT count(*) FROM webhook_event_log)::integer AS logged, count(*)::integer AS events
       FROM webhook_events
       GROUP BY 1, 2, 3`,
    );
    expect(rows).toEqual([{ status: 'pending', attempts: 0, lease_token: null, logged: 0, events: 30 }]);
  });

  it('ends one that only waits for work', async () => {
    const processor = startProcessor(env());
    await waitUntil('it listens', async () => {
      const { rowCount } = await pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN webhook_events' AND state = 'idle'`,
      );
      return rowCount === 1;
    });
    processor.signal('SIGTERM');
    expect(await endOf(processor, 10)).toMatchObject({ code: 0, stderr: '' });
  });
});

/** PostgreSQL's name of what a session of this database waits for. */
async function isAnyoneWaiting(event: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    'SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = $1',
    [event],
  );
  return (rowCount ?? 0) > 0;
}

async function whileEventsAreLocked<T>(work: () => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN; LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE');
    return await work();
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

/** Resolves when the server has all ten and the database holds them up; the function returned gives their answers. */
async function sendAndWaitForTheLock(sender: Sender): Promise<() => Promise<Answer[]>> {
  let received = 0;
  const answers = Promise.all(
    Array.from({ length: POSTS }, (_value, index) =>
      sender.post(
        notification('17841400000000001', { changes: [commentItem(`held-${index}`)] }),
        () => received++,
      ),
    ),
  );
  await waitUntil('all are received', () => received === POSTS);
  await waitUntil('the database holds them up', async () => {
    const { rowCount } = await pool.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return (rowCount ?? 0) > 0;
  });
  return () => answers;
}

async function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

async function countEvents(): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    'SELECT count(*)::integer AS count FROM webhook_events',
  );
  return rows[0]!.count;
}
