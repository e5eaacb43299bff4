import { randomInt } from 'node:crypto';
import { type Interaction } from '../../src/meta/interaction';
import { type Db } from '../../src/db/query';
import { interactionCtes, interactionsJson, type SourcedInteraction } from '../../src/models/interactions';
import { useDatabase } from '../support/database';
import { makeAccount, makeUser } from '../support/factories';
import { cut, randomFrom, shuffled } from '../support/shuffle';

const recordInteractions = (db: Db, rows: readonly SourcedInteraction[]) =>
  db.query(`WITH ${interactionCtes('$1', 'true')} SELECT FROM interaction_written`, [interactionsJson(rows)]);

const { pool } = useDatabase();

let owner: { id: string };
let account: { id: string };
let eventIds: string[];

beforeAll(async () => {
  owner = await makeUser(pool);
  account = await makeAccount(pool, owner.id);
  const { rows } = await pool.query<{ id: string }>(
    `INSERT INTO webhook_events (event_type, dedupe_key) SELECT 'comments', 'k' || n FROM generate_series(1, 60) n RETURNING id`,
  );
  eventIds = rows.map(({ id }) => id);
});
beforeEach(() => pool.query('TRUNCATE interactions'));

const READ = `SELECT kind, external_id, user_id, thread_id, parent_external_id, direction, author_id, author_username, body, attachments, details,
                     edit_number, deleted_at, is_test, source_event_id, occurred_at
              FROM interactions ORDER BY kind, external_id`;
const rows = async () => (await pool.query<Record<string, unknown>>(READ)).rows;

function say(changes: Partial<Interaction>, event = 0, seconds = event, isTest = false): SourcedInteraction {
  return {
    source: {
      userId: owner.id,
      instagramAccountId: account.id,
      eventId: eventIds[event]!,
      isTest,
      occurredAt: new Date(1795000000000 + seconds * 1000),
    },
    interaction: {
      kind: 'message',
      externalId: 'm',
      threadId: null,
      parentExternalId: null,
      direction: 'in',
      authorId: null,
      authorUsername: null,
      body: null,
      attachments: [],
      details: {},
      editNumber: 0,
      isDeletion: false,
      ...changes,
    },
  };
}

/** Contributions that contradict each other in every column. */
function contradictions(random: () => number): SourcedInteraction[] {
  const pick = <T>(...values: T[]): T => values[Math.floor(random() * values.length)]!;
  return Array.from({ length: 40 }, (_value, event) => {
    const isState = random() < 0.4;
    const details: Record<string, unknown> = {};
    for (const key of ['a', 'b', 'unavailable'])
      if (random() < 0.5) details[key] = pick<unknown>(1, 2, 'x', null, [1], { c: 1 });
    return say(
      {
        kind: isState ? pick('reaction', 'seen', 'story_insights') : pick('message', 'comment', 'mention'),
        externalId: pick('1', '2'),
        threadId: pick(null, 't', 'u'),
        parentExternalId: pick(null, 'p', 'q'),
        direction: pick('in', 'in', 'out'),
        authorId: pick(null, '12', '9'),
        authorUsername: pick(null, 'ä', 'z', 'B'),
        body: pick(null, 'é', 'f', 'E', '😀'),
        attachments: pick<object[]>([], [{ type: 'image' }], [{ type: 'video' }, { type: 'audio' }]),
        details,
        editNumber: pick(0, 0, 1, 2),
        isDeletion: random() < 0.05,
      },
      event,
      Math.floor(random() * 4),
      random() < 0.5,
    );
  });
}

it('ends in the same rows in any order and any batches', async () => {
  const seed = randomInt(2 ** 31);
  const random = randomFrom(seed);
  for (let set = 0; set < 8; set++) {
    const said = contradictions(random);
    const results = new Map<string, number>();
    for (let order = 0; order < 12; order++) {
      await pool.query('TRUNCATE interactions');
      // some of them twice: an event whose worker died is processed again
      const told = shuffled([...said, ...said.slice(0, 10)], random);
      for (const batch of cut(told, [1, 5, 60][order % 3]!, random)) await recordInteractions(pool, batch);
      results.set(JSON.stringify(await rows()), order);
    }
    if (results.size > 1) throw new Error(`seed ${seed}: ${[...results.keys()].join('\n')}`);
  }
});

it('ends in the same rows when two write at the same time', async () => {
  const seed = randomInt(2 ** 31);
  const random = randomFrom(seed);
  const said = contradictions(random);
  await recordInteractions(pool, said);
  const expected = await rows();
  for (let round = 0; round < 5; round++) {
    await pool.query('TRUNCATE interactions');
    const batches = cut(shuffled(said, random), 20, random);
    await Promise.all(batches.map((batch) => recordInteractions(pool, batch)));
    if (JSON.stringify(await rows()) !== JSON.stringify(expected)) throw new Error(`seed ${seed}`);
  }
});

it('keeps what only one event knows, the highest edit, and the earliest event as the source', async () => {
  await recordInteractions(pool, [
    say({ body: 'third', editNumber: 2, details: { standby: true } }, 3),
    say({ body: 'first', authorId: '12', threadId: '12', attachments: [{ type: 'image' }] }, 1),
    say({ body: 'second', editNumber: 1 }, 2),
  ]);
  expect(await rows()).toMatchObject([
    {
      body: 'third',
      author_id: '12',
      thread_id: '12',
      attachments: [{ type: 'image' }],
      details: { standby: true },
      edit_number: 2,
      source_event_id: eventIds[1],
      occurred_at: new Date(1795000001000),
    },
  ]);
});

it('keeps no content of what was taken back, whatever comes after', async () => {
  await recordInteractions(pool, [say({ isDeletion: true, body: 'x', details: { quickReply: 'x' } }, 5)]);
  await recordInteractions(pool, [
    say({ body: 'late', attachments: [{ type: 'image' }], details: { a: 1 } }, 1),
  ]);
  expect(await rows()).toMatchObject([
    { body: null, attachments: [], details: {}, deleted_at: new Date(1795000005000) },
  ]);
});

it('calls outgoing what one event says is, and a test only what no real event speaks of', async () => {
  await recordInteractions(pool, [say({ direction: 'in' }, 0, 0, true), say({ direction: 'out' }, 1)]);
  expect(await rows()).toMatchObject([{ direction: 'out', is_test: false }]);
});

it('forgets that something was unavailable once it is known', async () => {
  await recordInteractions(pool, [say({ details: { unavailable: true, media: 1 } })]);
  expect(await rows()).toMatchObject([{ details: { unavailable: true, media: 1 } }]);
  await recordInteractions(pool, [say({ body: 'here it is', details: { media: 1 } })]);
  expect(await rows()).toMatchObject([{ body: 'here it is', details: { media: 1 } }]);
});

it('replaces a state by a newer one only', async () => {
  const reaction = { kind: 'reaction', externalId: 'm:12' };
  await recordInteractions(pool, [
    say({ ...reaction, body: '😮' }, 2),
    say({ ...reaction, isDeletion: true }, 1),
  ]);
  await recordInteractions(pool, [say({ ...reaction, body: '❤️' }, 0)]);
  expect(await rows()).toMatchObject([{ body: '😮', deleted_at: null, source_event_id: eventIds[2] }]);
  await recordInteractions(pool, [say({ ...reaction, isDeletion: true }, 2)]);
  expect(await rows()).toMatchObject([{ body: null, deleted_at: new Date(1795000002000) }]);
});

it('writes nothing when there is nothing to write', async () => {
  await recordInteractions(pool, []);
  expect(await rows()).toEqual([]);
});
