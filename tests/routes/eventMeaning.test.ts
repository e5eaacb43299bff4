import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { useApp } from '../support/app';
import { type Browser } from '../support/browser';
import { makeAccount } from '../support/factories';
import {
  changes,
  flatComment,
  messaging,
  pageChanges,
  SAMPLE_ACCOUNT,
  SAMPLE_PAGE,
  standby,
} from '../support/samples';
import { deliver } from '../support/webhook';

const app = useApp({ env: { RATE_LIMIT_SCALE: '100' } });
const query = async <T extends object>(sql: string, params: unknown[] = []): Promise<T[]> =>
  (await app.context.pool.query<T>(sql, params)).rows;
let browser: Browser;

beforeEach(async () => {
  await query('TRUNCATE users, interactions, webhook_deliveries, webhook_events RESTART IDENTITY CASCADE');
  browser = app.browser();
  const { id } = await browser.register();
  const account = await makeAccount(app.context.pool, id, { igUserId: SAMPLE_ACCOUNT });
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

async function receive(more: object, object = 'instagram', id = SAMPLE_ACCOUNT): Promise<void> {
  await deliver(app.url, JSON.stringify({ object, entry: [{ id, time: 1795000001, ...more }] }));
  await processWebhookEvents(app.context, new AbortController().signal);
}

it('every kind has its words, in the list and on its page', async () => {
  const { commentMention: _one, captionMention: _two, ...told } = changes;
  await receive({ changes: Object.values(told) });
  await receive(flatComment);
  await receive({ messaging: Object.values(messaging), standby: Object.values(standby) });
  await receive({ changes: Object.values(pageChanges) }, 'page', SAMPLE_PAGE);
  await receive({ changed_fields: ['comments'] });
  const list = await browser.get('/events');
  for (const words of [
    'lena.demo commented live: Hi from Oslo',
    'You commented: We are!',
    'Answered your story: love it',
    'Sent: mention in a story',
    'Edited to: Hello, do you ship to Iceland?',
    'Message: still there? (another app owns the conversation)',
    'Notice about Meta’s rules',
    'Comment on the Facebook Page: Great',
    'Hidden on the Facebook Page',
    'Somebody filled in a form of an ad',
    'Changed at Meta: comments',
  ])
    expect(list.text).toContain(words);
  // a missing text would throw
  for (const { id } of await query<{ id: string }>('SELECT id FROM webhook_events'))
    expect((await browser.get(`/events/${id}`)).status).toBe(200);
});

it('shows what else is known, and no address of media', async () => {
  await receive({ messaging: [messaging.storyMention, messaging.ad], changes: [changes.storyInsights] });
  const pageOf = async (type: string, mid: string) => {
    const [event] = await query<{ id: string }>(
      'SELECT id FROM webhook_events WHERE event_type = $1 AND payload::text LIKE $2',
      [type, `%${mid}%`],
    );
    const { text } = await browser.get(`/events/${event!.id}`);
    return text.slice(text.indexOf('meaning-title'), text.indexOf('journey-title'));
  };
  expect(await pageOf('messages', 'aWdfEXAMPLE0004')).toContain('mention in a story');
  expect(await pageOf('messages', 'aWdfEXAMPLE0004')).not.toContain('lookaside');
  const ad = await pageOf('messages', 'aWdfEXAMPLE0009');
  expect(ad).toContain('Summer');
  const figures = await pageOf('story_insights', '17955501234560001');
  expect(figures).toMatch(/People reached<\/dt><dd[^>]*>44</);
  expect(figures).toMatch(/Taps back<\/dt><dd[^>]*>fewer than 5</);
});

it('says in words why an event waits for its owner', async () => {
  await receive({ changes: [changes.commentMention] });
  const [event] = await query<{ id: string; last_error: string }>(
    'SELECT id, last_error FROM webhook_events',
  );
  expect(event?.last_error).toBe('needs_permission:instagram_basic');
  const { text } = await browser.get(`/events/${event!.id}`);
  expect(text).toContain('The permission instagram_basic is missing.');
  expect(text).toContain('once the connection works again');
  for (const code of [
    'needs_reconnect',
    'needs_permission',
    'meta_unreachable',
    'meta_busy',
    'meta_refused',
    'meta_blocked',
    'app_misconfigured',
    'token_check_disagrees',
    'token_key_missing',
  ]) {
    await query('UPDATE webhook_events SET last_error = $1', [code]);
    expect((await browser.get(`/events/${event!.id}`)).text).not.toMatch(new RegExp(`<strong>\\s*${code}`));
  }
});
