import { randomInt } from 'node:crypto';
import { type AppContext } from '../../src/context';
import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { useApp } from '../support/app';
import { makeAccount, makeUser } from '../support/factories';
import {
  changes,
  flatComment,
  messaging,
  nameChanged,
  pageChanges,
  pageMessage,
  permissionRevoked,
  SAMPLE_ACCOUNT,
  SAMPLE_PAGE,
  standby,
} from '../support/samples';
import { cut, randomFrom, shuffled } from '../support/shuffle';
import { deliver } from '../support/webhook';

const app = useApp();
const neverStop = new AbortController().signal;
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;

// What Meta must be asked for is left out: nobody is connected here.
const { commentMention: _comment, captionMention: _caption, ...told } = changes;
const entry = (more: object, time = 1795000001) => ({ id: SAMPLE_ACCOUNT, time, ...more });
const page = (more: object) => ({ id: SAMPLE_PAGE, time: 1795000041, ...more });
const laterFigures = { ...told.storyInsights, value: { ...told.storyInsights.value, reach: 51 } };
const INSTAGRAM = [
  ...Object.values(told).map((item) => entry({ changes: [item] })),
  entry(flatComment),
  entry({ changes: [laterFigures] }, 1795003601),
  entry({ changes: [{ field: 'future_field', value: { a: 1 } }] }),
  entry({ changed_fields: ['comments'] }),
  ...Object.values(messaging).map((item) => entry({ messaging: [item] })),
  ...Object.values(standby).map((item) => entry({ standby: [item] })),
];
const PAGE = [
  ...Object.values(pageChanges).map((item) => page({ changes: [item] })),
  page({ messaging: [pageMessage] }),
];

const COLUMNS = `kind, external_id, thread_id, parent_external_id, direction, author_id, author_username, body, attachments, details, edit_number,
                 deleted_at, is_test, occurred_at`;
const rows = (more = '') => query(`SELECT ${COLUMNS}${more} FROM interactions ORDER BY kind, external_id`);

/** Told by several events each: an edit, a deletion, a copy in standby. */
const SAMPLES = `SELECT external_id, body, details FROM interactions
                 WHERE external_id IN ('aWdfEXAMPLE0001', 'aWdfEXAMPLE0002', 'aWdfEXAMPLE0011') ORDER BY external_id`;

async function send(object: string, entries: object[]): Promise<void> {
  const answer = await deliver(app.url, JSON.stringify({ object, entry: entries }));
  expect(answer.status).toBe(200);
}

function run(batchSize: number): Promise<unknown> {
  const { config } = app.context;
  const context: AppContext = {
    ...app.context,
    config: { ...config, webhook: { ...config.webhook, batchSize } },
  };
  return processWebhookEvents(context, neverStop);
}

beforeEach(async () => {
  await query(
    'TRUNCATE users, interactions, webhook_deliveries, webhook_events, webhook_event_stats RESTART IDENTITY CASCADE',
  );
  const owner = await makeUser(app.context.pool);
  const account = await makeAccount(app.context.pool, owner.id, { igUserId: SAMPLE_ACCOUNT });
  await query(
    `WITH page AS (
       INSERT INTO pages (meta_account_id, user_id, page_id, name)
       SELECT meta_account_id, user_id, $2, 'Bar' FROM instagram_accounts WHERE id = $1
       RETURNING id
     )
     UPDATE instagram_accounts SET page_id = page.id FROM page WHERE instagram_accounts.id = $1`,
    [account.id, SAMPLE_PAGE],
  );
});

it('every shape becomes what it means, whatever order the events are processed in', async () => {
  const seed = randomInt(2 ** 31);
  const random = randomFrom(seed);
  await send('instagram', INSTAGRAM);
  await send('page', PAGE);
  await send('permissions', permissionRevoked.entry);
  await send('user', nameChanged.entry);
  await run(10);
  const expected = await rows(', source_event_id');
  const counts = await query('SELECT kind, count(*)::integer FROM interactions GROUP BY kind ORDER BY kind');
  expect(await query(`SELECT id FROM webhook_events WHERE status <> 'processed'`)).toEqual([]);
  expect(counts.map((row) => Object.values(row).join(' '))).toEqual([
    'comment 5',
    'handover 4',
    'lead 1',
    'message 14',
    'optin 1',
    'page_comment 2',
    'page_post 2',
    'page_reaction 1',
    'page_visibility 1',
    'policy 1',
    'postback 2',
    'reaction 1',
    'referral 1',
    'seen 1',
    'story_insights 1',
  ]);
  expect(await query(SAMPLES)).toEqual([
    { external_id: 'aWdfEXAMPLE0001', body: 'Hello, do you ship to Iceland?', details: { standby: true } },
    { external_id: 'aWdfEXAMPLE0002', body: null, details: {} },
    { external_id: 'aWdfEXAMPLE0011', body: 'Track order', details: { payload: 'TRACK', standby: true } },
  ]);

  const ids = (await query<{ id: string }>('SELECT id FROM webhook_events')).map(({ id }) => id);
  for (let order = 0; order < 12; order++) {
    await query('TRUNCATE interactions');
    await query(
      `UPDATE webhook_events event
       SET status = 'pending', attempts = 0, processed_at = NULL, next_attempt_at = now() - interval '1 hour' + place * interval '1 second'
       FROM unnest($1::bigint[]) WITH ORDINALITY AS shuffled (id, place)
       WHERE event.id = shuffled.id`,
      [shuffled(ids, random)],
    );
    const batchSize = [1, 3, 100][order % 3]!;
    await Promise.all([run(batchSize), run(batchSize)]);
    const found = await rows(', source_event_id');
    if (JSON.stringify(found) !== JSON.stringify(expected))
      throw new Error(`seed ${seed}\n${JSON.stringify(found, null, 1)}`);
  }
});

it('and whatever order they arrive in', async () => {
  const seed = randomInt(2 ** 31);
  const random = randomFrom(seed);
  const results = new Set<string>();
  for (let order = 0; order < 6; order++) {
    await query('TRUNCATE interactions, webhook_events CASCADE');
    for (const entries of cut(shuffled(INSTAGRAM, random), 8, random)) {
      await send('instagram', entries);
      await run(10);
    }
    results.add(JSON.stringify(await rows()));
  }
  if (results.size > 1) throw new Error(`seed ${seed}\n${[...results].join('\n')}`);
});
