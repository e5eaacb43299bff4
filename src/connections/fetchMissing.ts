import { type AppContext } from '../context';
import {
  type Content,
  fetchComment,
  fetchMentionedComment,
  fetchMentionedMedia,
  isGone,
} from '../meta/content';
import { MetaApiError } from '../meta/errors';
import { type Interaction } from '../meta/interaction';
import { present } from '../meta/values';
import { findAccountOfUser, type WholeAccount } from '../models/instagramAccounts';
import { findEncryptedUserToken } from '../models/metaAccounts';
import { findEncryptedPage } from '../models/pages';
import { checkConnection } from './checkConnection';
import { NEEDS_PERMISSION, NEEDS_RECONNECT, PermanentError } from './eventFailure';
import { openPageToken, openUserToken, StoredTokenError } from './storedTokens';

/** Everything Meta is asked for here needs these. @see meta-platform §4.1 */
const NEEDED_SCOPES = ['instagram_basic', 'instagram_manage_comments'];
/** Ends well before the lease on the event does, also where that is short. */
const LONGEST_MS = 12_000;

/**
 * Asks Meta for what an event left out (see laneOf), with the token of the account it belongs to. What is gone at Meta
 * is no error: the interaction is kept with what is known, and `details.unavailable`.
 *
 * A token or a permission that Meta calls missing is looked into first (checkConnection), so a single wrong answer
 * disconnects nobody; and while a connection is known to be broken Meta is not asked at all.
 * @throws PermanentError when the owner has to act; MetaApiError, StoredTokenError otherwise (see eventFailureOf)
 */
export async function fetchMissing(
  context: AppContext,
  owner: { instagramAccountId: string; userId: string },
  interaction: Interaction,
  signal: AbortSignal,
): Promise<Interaction> {
  const account = await findAccountOfUser(context.pool, owner.userId, owner.instagramAccountId);
  if (account === null || account.status === 'disconnected') return unavailable(interaction);
  refuseIfBroken(account);
  const token = await tokenOf(context, account);
  const timeout = AbortSignal.timeout(Math.min(LONGEST_MS, context.config.webhook.leaseSeconds * 500));
  try {
    const content = await ask(context, account, interaction, token, AbortSignal.any([signal, timeout]));
    return content === null ? unavailable(interaction) : complete(interaction, content, account.igUserId);
  } catch (error) {
    if (!(error instanceof MetaApiError)) throw error;
    if (isGone(error)) return unavailable(interaction);
    if (error.action === 'reconnect' || error.action === 'permission') await look(context, account, error);
    throw error;
  }
}

/** @throws PermanentError for what is known without asking Meta: calls with a dead token count against limits too */
function refuseIfBroken({ status, statusCode, scopes }: WholeAccount, cause?: MetaApiError): void {
  if (status === 'needs_reconnect') {
    throw new PermanentError(NEEDS_RECONNECT, `The connection is broken: ${statusCode}`, { cause });
  }
  const missing = NEEDED_SCOPES.find((scope) => !scopes.includes(scope));
  if (missing !== undefined) {
    throw new PermanentError(`${NEEDS_PERMISSION}:${missing}`, 'The permission was not granted.', { cause });
  }
}

/** The Page's token where there is one: it is the one that does not expire. @throws StoredTokenError */
async function tokenOf({ config, pool }: AppContext, account: WholeAccount): Promise<string> {
  const page = account.pageRowId === null ? null : await findEncryptedPage(pool, account.pageRowId);
  if (page !== null && page.pageToken !== null) return openPageToken(config.tokenKeys, page);
  const login = await findEncryptedUserToken(pool, account.metaAccountId);
  if (login === null) throw new StoredTokenError('token_missing');
  return openUserToken(config.tokenKeys, login);
}

function ask(
  { graph }: AppContext,
  { igUserId }: WholeAccount,
  { kind, externalId, threadId: mediaId, parentExternalId: commentId }: Interaction,
  token: string,
  signal: AbortSignal,
): Promise<Content | null> | null {
  const id = kind === 'mention' ? (commentId ?? mediaId) : externalId;
  // It becomes a part of the question.
  if (id === null || !/^\d{1,40}$/.test(id)) return null;
  if (kind !== 'mention') return fetchComment(graph, id, token, { signal });
  return commentId === null
    ? fetchMentionedMedia(graph, { igUserId, token, mediaId: id }, { signal })
    : fetchMentionedComment(graph, { igUserId, token, commentId: id }, { signal });
}

/** Finds out how the connection stands, and writes it down. @throws PermanentError when it is broken indeed */
async function look(context: AppContext, account: WholeAccount, cause: MetaApiError): Promise<void> {
  // Known to be limited: the check has been made, and would say the same for each of many events.
  if (account.status === 'limited' && cause.action === 'permission') return;
  await checkConnection(context, account);
  const now = await findAccountOfUser(context.pool, account.userId, account.id);
  if (now !== null) refuseIfBroken(now, cause);
}

/** What the event said itself stays; Meta's answer fills the gaps. */
function complete(interaction: Interaction, content: Content, igUserId: string): Interaction {
  const authorId = interaction.authorId ?? content.authorId;
  const isMention = interaction.kind === 'mention';
  return {
    ...interaction,
    threadId: interaction.threadId ?? content.mediaId,
    parentExternalId: interaction.parentExternalId ?? content.parentId,
    direction: !isMention && authorId === igUserId ? 'out' : interaction.direction,
    authorId,
    authorUsername: interaction.authorUsername ?? content.authorUsername,
    body: interaction.body ?? content.text,
    details: {
      ...interaction.details,
      ...present({ mediaType: content.mediaType, writtenAt: content.writtenAt?.toISOString() }),
    },
  };
}

function unavailable(interaction: Interaction): Interaction {
  return { ...interaction, details: { ...interaction.details, unavailable: true } };
}
