import { type Sandbox } from '../../src/sandbox/sandbox';
import { startReceiver, type Receiver } from './receiver';
import { BAR, connectBar, control, graph, start } from './support';

let sandbox: Sandbox;
let receiver: Receiver;
let access_token: string;
beforeEach(async () => {
  receiver = await startReceiver();
  sandbox = await start(receiver);
  access_token = await connectBar(sandbox);
});
afterEach(async () => {
  await sandbox.close();
  await receiver.close();
});

const ask = (fields: string) => graph(sandbox, `/${BAR}`, { access_token, fields });
const valueOf = (index: number) => {
  const body = JSON.parse(receiver.posts[index]!.body) as {
    entry: { changes: { field: string; value: Record<string, unknown> }[] }[];
  };
  return body.entry[0]!.changes[0]!;
};

describe('a mention', () => {
  it('in a comment is told by ids alone, and read through the account', async () => {
    const { mention } = sandbox.customerMentions({ text: 'Try @bar.example', place: 'comment' });
    await sandbox.settle();
    expect(valueOf(0)).toEqual({
      field: 'mentions',
      value: { media_id: mention.mediaId, comment_id: mention.commentId },
    });
    const { body } = await ask(
      `mentioned_comment.comment_id(${mention.commentId}){text,timestamp,username,media}`,
    );
    expect(body).toEqual({
      id: BAR,
      mentioned_comment: {
        id: mention.commentId,
        text: 'Try @bar.example',
        timestamp: expect.stringMatching(/^\d{4}-.*\+0000$/) as string,
        username: 'lena.demo',
        media: { id: mention.mediaId },
      },
    });
    expect((await graph(sandbox, `/${mention.commentId}`, { access_token })).body.error).toMatchObject({
      code: 100,
      error_subcode: 33,
    });
  });

  it('in a caption is read as media', async () => {
    const answer = await control(sandbox, '/customers/mentions', {
      text: 'With @bar.example',
      place: 'caption',
    });
    const { mention } = (await answer.json()) as { mention: { mediaId: string } };
    await sandbox.settle();
    expect(valueOf(0).value).toEqual({ media_id: mention.mediaId });
    const { body } = await ask(`mentioned_media.media_id(${mention.mediaId}){caption,media_type,username}`);
    expect(body.mentioned_media).toEqual({
      id: mention.mediaId,
      caption: 'With @bar.example',
      media_type: 'IMAGE',
      username: 'lena.demo',
    });
  });

  it('of nobody, or without its id, is refused', async () => {
    expect((await ask('mentioned_comment.comment_id(1){text}')).body.error).toMatchObject({
      code: 100,
      error_subcode: 33,
    });
    expect((await ask('mentioned_media{caption}')).body.error).toMatchObject({ code: 100 });
  });

  it('needs the permission for comments', async () => {
    const { mention } = sandbox.customerMentions({ text: 'x', place: 'comment' });
    sandbox.state.grants[0]!.permissions['instagram_manage_comments']!.status = 'declined';
    const { body } = await ask(`mentioned_comment.comment_id(${mention.commentId}){text}`);
    expect(body.error).toMatchObject({ code: 10 });
  });
});

it('a comment may be told without its author, who can be asked for', async () => {
  const { comment } = sandbox.customerComments({ text: 'Hello', withoutAuthor: true });
  await sandbox.settle();
  expect(valueOf(0).value).not.toHaveProperty('from');
  const { body } = await graph(sandbox, `/${comment.id}`, { access_token, fields: 'from' });
  expect(body.from).toEqual({ id: '1203344556677889', username: 'lena.demo' });
});

it('can be made on the control page', async () => {
  const form = new URLSearchParams({
    account: BAR,
    customer: 'lena',
    do: 'mention',
    text: 'x',
    place: 'caption',
  });
  const response = await fetch(`${sandbox.url}/_sandbox/ui/act`, {
    method: 'POST',
    body: form,
    redirect: 'manual',
  });
  expect(response.status).toBe(303);
  expect(sandbox.state.mentions).toMatchObject([{ commentId: null, text: 'x' }]);
});
