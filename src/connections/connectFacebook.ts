import { type PoolClient } from 'pg';
import { type AppContext } from '../context';
import { transaction } from '../db/query';
import { missingScopes, PAGE_WEBHOOK_FIELDS } from '../meta/scopes';
import { recordAudit } from '../models/auditLog';
import {
  findAccountOfUser,
  type InstagramAccount,
  listConnectedIgUserIds,
  lockInstagramAccount,
  upsertConnectedAccount,
} from '../models/instagramAccounts';
import {
  disconnectMetaAccount,
  listUnusedMetaAccounts,
  type MetaAccount,
  setUserToken,
  upsertMetaAccount,
} from '../models/metaAccounts';
import { eraseUnusedPageTokens, setPageToken, upsertPage } from '../models/pages';
import { matchWaitingEvents, requeueAfterReconnect } from '../models/webhookEvents';
import { upsertWantedFields } from '../models/webhookSubscriptions';
import { logger } from '../utils/logger';
import { connectFailure, ConnectError } from './connectFailure';
import { type Grant, type GrantedAccount, readGrant } from './readGrant';
import { sealPageToken, sealUserToken } from './storedTokens';
import { subscribeWebhooks } from './subscribeWebhooks';

export interface ConnectRequest {
  userId: string;
  /** From the callback. */
  code: string;
  /** The connection to renew; null to connect whatever the person ticked. */
  accountId: string | null;
}

export interface Connected {
  accounts: InstagramAccount[];
  /** Names of accounts left alone because somebody else here has them connected. */
  ownedByOthers: string[];
}

/** The browser is waiting: reading, and then subscribing, end in good time. */
const READ_TIMEOUT_MS = 9_500;
const SUBSCRIBE_TIMEOUT_MS = 4_000;

/**
 * Connects the accounts behind an authorization code: everything is read first, stored in one transaction, and then
 * subscribed to webhooks, whose failure leaves `webhooks_down` and a connection that is otherwise whole.
 * @throws ConnectError, MetaApiError; nothing was stored then
 */
export async function connectFacebook(context: AppContext, request: ConnectRequest): Promise<Connected> {
  const grant = await readGrant(context, request.code, AbortSignal.timeout(READ_TIMEOUT_MS));
  const wanted = await chooseAccounts(context, request, grant);
  const connected = await transaction(context.pool, (db) =>
    store(db, context, request.userId, grant, wanted),
  );
  logger.info('accounts connected', {
    userId: request.userId,
    accountIds: connected.accounts.map(({ id }) => id),
    ownedByOthers: connected.ownedByOthers.length,
  });
  const signal = AbortSignal.timeout(SUBSCRIBE_TIMEOUT_MS);
  await Promise.all(connected.accounts.map(({ id }) => subscribeWebhooks(context, id, signal)));
  return connected;
}

/** Renewing one connection renews the others of this login, and never attaches an account nobody asked for. */
async function chooseAccounts(
  { pool }: AppContext,
  { userId, accountId }: ConnectRequest,
  { accounts }: Grant,
): Promise<GrantedAccount[]> {
  if (accountId === null) return accounts;
  const target = await findAccountOfUser(pool, userId, accountId);
  if (!accounts.some(({ profile }) => profile.igUserId === target?.igUserId)) {
    const details = {
      expected: target?.username ?? '',
      received: accounts.map(({ profile }) => profile.username).join(', '),
    };
    throw new ConnectError(connectFailure('other_account', { accountId, details }));
  }
  const known = new Set([target?.igUserId, ...(await listConnectedIgUserIds(pool, userId))]);
  return accounts.filter(({ profile }) => known.has(profile.igUserId));
}

async function store(
  db: PoolClient,
  context: AppContext,
  userId: string,
  grant: Grant,
  wanted: GrantedAccount[],
): Promise<Connected> {
  const inOrder = [...wanted].sort((a, b) => (a.profile.igUserId < b.profile.igUserId ? -1 : 1));
  for (const { profile } of inOrder) await lockInstagramAccount(db, profile.igUserId);
  const login = await storeLogin(db, context, userId, grant);
  const accounts: InstagramAccount[] = [];
  const ownedByOthers: string[] = [];
  for (const account of inOrder) {
    const stored = await storeAccount(db, context, login, account);
    if (stored === null) ownedByOthers.push(account.profile.username);
    else accounts.push(stored);
  }
  if (accounts.length === 0) {
    throw new ConnectError(
      connectFailure('account_owned', { details: { accounts: ownedByOthers.join(', ') } }),
    );
  }
  // A reconnect through another person's login leaves the old one without use.
  for (const { id } of await listUnusedMetaAccounts(db, userId)) {
    await disconnectMetaAccount(db, id, 'disconnected_by_you');
    await eraseUnusedPageTokens(db, id);
  }
  await eraseUnusedPageTokens(db, login.id);
  return { accounts, ownedByOthers };
}

async function storeLogin(
  db: PoolClient,
  { config }: AppContext,
  userId: string,
  grant: Grant,
): Promise<MetaAccount> {
  const login = await upsertMetaAccount(db, {
    userId,
    provider: 'facebook',
    metaUserId: grant.person.id,
    name: grant.person.name,
    tokenExpiresAt: grant.tokenExpiresAt,
    dataAccessExpiresAt: grant.dataAccessExpiresAt,
    scopes: grant.granted,
    declinedScopes: grant.declined,
  });
  await setUserToken(db, login.id, sealUserToken(config.tokenKeys, grant.userToken, login));
  return login;
}

async function storeAccount(
  db: PoolClient,
  { config }: AppContext,
  login: MetaAccount,
  { page, pageToken, profile }: GrantedAccount,
): Promise<InstagramAccount | null> {
  const { userId } = login;
  const { pageId, name, category, tasks } = page;
  const pageRowId = await upsertPage(db, { metaAccountId: login.id, userId, pageId, name, category, tasks });
  // Not called active before Meta has confirmed the webhooks, also if this process ends in between.
  const state = { status: 'webhooks_down', statusCode: 'webhooks_unconfirmed' } as const;
  const account = await upsertConnectedAccount(db, {
    userId,
    metaAccountId: login.id,
    pageRowId,
    ...profile,
    ...state,
  });
  if (account === null) return null;
  await setPageToken(db, pageRowId, sealPageToken(config.tokenKeys, pageToken, { id: pageRowId, userId }));
  await upsertWantedFields(db, account.id, PAGE_WEBHOOK_FIELDS);
  const matchedEvents = await matchWaitingEvents(db, account);
  const requeuedEvents = await requeueAfterReconnect(db, account.id);
  await recordAudit(db, {
    userId,
    action: 'account.connected',
    subjectType: 'instagram_account',
    subjectId: account.id,
    details: {
      metaAccountId: login.id,
      missingScopes: missingScopes(login.scopes),
      matchedEvents,
      requeuedEvents,
    },
  });
  return account;
}
