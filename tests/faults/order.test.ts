import { useDatabase } from '../support/database';
import { commentItem, notification } from '../support/webhook';
import { deliverInOrder } from './support/deliveries';
import { figure } from './support/figures';
import { endOf, settings, startProcessor, waitUntil } from './support/processes';
import { makeAccounts, queueState } from './support/queue';

/** Each with the same items in another order. */
const ACCOUNTS = figure(40, 800);
const CONVERSATIONS = figure(4, 15);
const WORKERS = figure(4, 6);
const START_MS = 1_795_000_000_000;

const { pool, config } = useDatabase();

describe('the same items in many orders, processed by several workers of which some fail now and then', () => {
  it('end in the same interactions', async () => {
    const accounts = await makeAccounts(pool, ACCOUNTS);
    await deliverInOrder(
      pool,
      accounts.map((account) => notification(account, allItems(account))),
    );
    await pool.query(`UPDATE webhook_events SET next_attempt_at = now() - random() * interval '1 hour'`);
    await failNowAndThen();
    const workers = Array.from({ length: WORKERS }, () => startProcessor(settings(config.connectionString)));
    await waitUntil('all is done', isDone, figure(60, 900));
    for (const worker of workers) worker.signal('SIGTERM');
    for (const worker of workers) await endOf(worker, 15);

    const { rows: failures } = await pool.query(`SELECT FROM webhook_event_log WHERE outcome = 'failed'`);
    expect(failures.length).toBeGreaterThan(0);
    expect((await queueState(pool)).dead_letter).toBe(0);
    const [first, ...others] = await interactionsByAccount();
    expect(others).toHaveLength(ACCOUNTS - 1);
    for (const other of others) expect(other).toEqual(first);
    expect(first!.filter(({ external_id: id }) => String(id).startsWith('0-')).map(summary)).toEqual([
      { kind: 'comment', id: '0-comment', body: 'Are you open on Sunday?', isDeleted: false },
      { kind: 'comment', id: '0-reply', body: 'We are.', isDeleted: false },
      { kind: 'message', id: '0-answer', body: 'We are.', isDeleted: false },
      { kind: 'message', id: '0-deleted', body: null, isDeleted: true },
      { kind: 'message', id: '0-edited', body: 'Are you open on Monday?', isDeleted: false },
      { kind: 'reaction', id: expect.stringMatching(/^0-answer:/), body: null, isDeleted: true },
    ]);
    const marks = first!.filter(({ kind }) => kind === 'seen');
    expect(marks).toHaveLength(CONVERSATIONS);
    expect(marks[0]).toMatchObject({ parent_external_id: '0-answer' });
  });
});

function allItems(account: string): { changes: object[]; messaging: object[] } {
  const numbers = Array.from({ length: CONVERSATIONS }, (_value, number) => number);
  return {
    changes: numbers.flatMap((number) => [commentItem(`${number}-comment`), reply(account, number)]),
    messaging: numbers.flatMap((number) => conversation(account, number)),
  };
}

function reply(account: string, number: number): object {
  const value = {
    id: `${number}-reply`,
    parent_id: `${number}-comment`,
    from: { id: account },
    media: { id: '17955501234567001' },
    text: 'We are.',
  };
  return { field: 'comments', value };
}

/** Edits, withdrawals and marks that contradict what came before them. */
function conversation(account: string, number: number): object[] {
  const customer = { id: `12033445566778${number}` };
  const own = { id: account };
  const at = (seconds: number) => START_MS + (number * 60 + seconds) * 1000;
  const received = (seconds: number, item: object) => ({
    sender: customer,
    recipient: own,
    timestamp: at(seconds),
    ...item,
  });
  const [edited, deleted, answer] = [`${number}-edited`, `${number}-deleted`, `${number}-answer`];
  const reaction = (action: string, emoji?: string) => ({
    reaction: { mid: answer, action, reaction: 'other', emoji },
  });
  return [
    received(1, { message: { mid: edited, text: 'Are you open?' } }),
    received(2, { message_edit: { mid: edited, text: 'Are you open on Sunday?', num_edit: 1 } }),
    received(3, { message_edit: { mid: edited, text: 'Are you open on Monday?', num_edit: 2 } }),
    received(4, { message: { mid: deleted, text: 'Never mind', attachments: [{ type: 'image' }] } }),
    received(5, { message_edit: { mid: deleted, text: 'Never mind.', num_edit: 1 } }),
    received(6, { message: { mid: deleted, is_deleted: true } }),
    {
      sender: own,
      recipient: customer,
      timestamp: at(7),
      message: { mid: answer, text: 'We are.', is_echo: true },
    },
    received(8, reaction('react', '😆')),
    received(9, reaction('unreact')),
    received(9, reaction('react', '❤')), // a withdrawal of the same instant counts
    received(10, { read: { mid: edited } }),
    received(11, { read: { mid: answer } }),
  ];
}

/** One write in twenty fails, and an event up to three times: its last attempt is let through. */
async function failNowAndThen(): Promise<void> {
  await pool.query(`
    CREATE FUNCTION fail_now_and_then() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF random() < 0.05 AND (SELECT attempts < 4 FROM webhook_events WHERE id = NEW.source_event_id) THEN
        RAISE EXCEPTION 'broken';
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER fail_now_and_then BEFORE INSERT ON interactions FOR EACH ROW EXECUTE FUNCTION fail_now_and_then()`);
}

/** When nothing else is left, what waits for its next attempt need not wait. */
async function isDone(): Promise<boolean> {
  const { pending, processing, failed } = await queueState(pool);
  if (pending + processing === 0) {
    const waiting = `status = 'failed' AND next_attempt_at > now()`;
    await pool.query(`UPDATE webhook_events SET next_attempt_at = now() WHERE ${waiting}`);
  }
  return pending + processing + failed === 0;
}

/** Of each account what there is, told without the account's own ids, and the item that it comes from. */
async function interactionsByAccount(): Promise<Record<string, unknown>[][]> {
  const { rows } = await pool.query<{ account: string; interactions: object[] }>(
    `SELECT account.ig_user_id AS account,
            json_agg(
              to_jsonb(known) - ARRAY['id', 'user_id', 'instagram_account_id', 'source_event_id', 'created_at', 'updated_at']
                || jsonb_build_object('source', source.payload)
              ORDER BY known.kind, known.external_id COLLATE "C"
            ) AS interactions
     FROM instagram_accounts account
     JOIN interactions known ON known.instagram_account_id = account.id
     LEFT JOIN webhook_events source ON source.id = known.source_event_id
     GROUP BY account.id
     ORDER BY account.id`,
  );
  return rows.map(({ account, interactions }) => {
    return JSON.parse(JSON.stringify(interactions).replaceAll(account, 'own')) as Record<string, unknown>[];
  });
}

function summary(row: Record<string, unknown>): object {
  const { kind, external_id: id, body, deleted_at: deletedAt } = row;
  return { kind, id, body, isDeleted: deletedAt !== null };
}
