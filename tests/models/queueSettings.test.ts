import { findQueuePause, QUEUE_IS_RUNNING_SQL, setQueuePaused } from '../../src/models/queueSettings';
import { useDatabase } from '../support/database';
import { makeUser } from '../support/factories';

const { pool } = useDatabase();
const mayClaim = async () => {
  const { rows } = await pool.query<{ id: number }>(
    `SELECT id FROM generate_series(1, 3) AS event (id) WHERE ${QUEUE_IS_RUNNING_SQL}`,
  );
  return rows.length === 3;
};

describe('the pause switch', () => {
  it('lets events be claimed until an operator pauses, and again afterwards', async () => {
    const [ada, bob] = [await makeUser(pool), await makeUser(pool)];
    expect([(await findQueuePause(pool)) !== null, await mayClaim()]).toEqual([false, true]);
    expect(await setQueuePaused(pool, { isPaused: false })).toBe(false);

    expect(await setQueuePaused(pool, { isPaused: true, userId: ada.id, reason: 'restore' })).toBe(true);
    expect(await setQueuePaused(pool, { isPaused: true, userId: bob.id, reason: null })).toBe(false);
    expect(await findQueuePause(pool)).toMatchObject({ pausedByEmail: ada.email, reason: 'restore' });
    expect([(await findQueuePause(pool)) !== null, await mayClaim()]).toEqual([true, false]);

    expect(await setQueuePaused(pool, { isPaused: false })).toBe(true);
    expect(await setQueuePaused(pool, { isPaused: false })).toBe(false);
    expect([(await findQueuePause(pool)) !== null, await mayClaim()]).toEqual([false, true]);
    expect(await setQueuePaused(pool, { isPaused: true, userId: bob.id, reason: null })).toBe(true);
    expect(await findQueuePause(pool)).toMatchObject({ pausedByEmail: bob.email, reason: null });
  });

  it('stays paused when whoever did it is gone, and is thrown by one of several at once', async () => {
    const people = await Promise.all([makeUser(pool), makeUser(pool), makeUser(pool)]);
    await setQueuePaused(pool, { isPaused: false });
    const thrown = await Promise.all(
      people.map(({ id }) => setQueuePaused(pool, { isPaused: true, userId: id, reason: null })),
    );
    expect(thrown.filter(Boolean)).toHaveLength(1);
    await pool.query('DELETE FROM users');
    expect(await findQueuePause(pool)).toMatchObject({ pausedByEmail: null });
  });
});
