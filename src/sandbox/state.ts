/**
 * Everything the sandbox knows. Plain data, so that a snapshot is `JSON.stringify` of it.
 * Ids are strings; every time is in milliseconds on the virtual clock.
 */
export interface SandboxState {
  format: 1;
  clockOffsetMs: number;
  randomSeed: number;
  nextNumber: number;
  settings: Settings;
  app: AppRecord;
  people: Person[];
  businesses: Business[];
  pages: Page[];
  igAccounts: IgAccount[];
  customers: Customer[];
  media: Media[];
  comments: Comment[];
  messages: Message[];
  mentions: Mention[];
  grants: Grant[];
  tokens: Token[];
  codes: AuthorizationCode[];
  subscriptions: AppSubscription[];
  usage: Record<string, { windowStartedAt: number; calls: number }>;
  faults: FaultRule[];
  outbox: Delivery[];
}

/** `facebook` is Facebook Login, `instagram` is Instagram Login (meta-platform §1.1). */
export type Flow = 'facebook' | 'instagram';

export interface Settings {
  appCallsPerHour: number;
  accountCallsPerDay: number;
  usageHeaderFromPercent: number;
  webhookDeadlineMs: number;
  retryProfile: 'graph' | 'messenger';
  challenge: 'integer' | 'huge' | 'html';
}

export interface AppRecord {
  id: string;
  secret: string;
  instagramAppId: string;
  instagramAppSecret: string;
  name: string;
  mode: 'live' | 'development';
  dashboardVersion: string;
  redirectUris: string[];
  webhookUrl: string;
  verifyToken: string;
  deauthorizeUrl: string | null;
  deletionUrl: string | null;
  requireProof: boolean;
  roleUserIds: string[];
  configurations: { id: string; name: string; permissions: string[] }[];
}

export interface Person {
  id: string;
  name: string;
  businessIds: string[];
  passwordEpoch: number;
}

export interface Business {
  id: string;
  name: string;
}

export interface Page {
  id: string;
  name: string;
  category: string;
  businessId: string | null;
  igAccountId: string | null;
  roles: { personId: string; tasks: string[]; viaBusinessManager: boolean }[];
  installs: Install[];
}

/** One app in `subscribed_apps` of a Page or of an Instagram account. */
export interface Install {
  appId: string;
  fields: string[];
  installedBy: string;
}

export interface IgAccount {
  id: string;
  appScopedId: string;
  username: string;
  name: string;
  biography: string;
  website: string;
  accountType: 'BUSINESS' | 'MEDIA_CREATOR';
  followers: number;
  follows: number;
  isPrivate: boolean;
  allowsMessageAccess: boolean;
  installs: Install[];
}

export interface Customer {
  id: string;
  username: string;
  name: string;
  /** The customer's IGSID, by the id of the Instagram account that sees it. */
  igsids: Record<string, string>;
}

export interface Media {
  id: string;
  igAccountId: string;
  mediaType: 'IMAGE' | 'VIDEO' | 'CAROUSEL_ALBUM';
  productType: 'FEED' | 'REELS' | 'STORY' | 'AD';
  caption: string;
  createdAt: number;
  likes: number;
}

export interface Comment {
  id: string;
  igAccountId: string;
  mediaId: string;
  parentId: string | null;
  /** Null when the account itself wrote it. */
  customerId: string | null;
  text: string;
  createdAt: number;
  hidden: boolean;
  deleted: boolean;
  likes: number;
}

export interface Message {
  mid: string;
  igAccountId: string;
  customerId: string;
  fromCustomer: boolean;
  text: string | null;
  attachment: { type: string; url: string } | null;
  createdAt: number;
  edits: number;
  deleted: boolean;
  reaction: string | null;
}

/** The account named on somebody else's post: in its caption, or in a comment under it. */
export interface Mention {
  igAccountId: string;
  customerId: string;
  mediaId: string;
  /** Null when it is in the caption. */
  commentId: string | null;
  text: string;
  createdAt: number;
}

export type PermissionStatus = 'granted' | 'declined' | 'expired';

/** What one person (or, with Instagram Login, one Instagram account) allowed the app. */
export interface Grant {
  flow: Flow;
  subjectId: string;
  /** `targetIds` null means all present and future assets. */
  permissions: Record<string, { status: PermissionStatus; targetIds: string[] | null }>;
  dataAccessExpiresAt: number;
}

export interface Token {
  value: string;
  /** Names the token in the journal and in fault rules, without giving it away. */
  label: string;
  kind: 'USER' | 'PAGE' | 'APP' | 'INSTAGRAM';
  flow: Flow;
  subjectId: string;
  pageId: string | null;
  longLived: boolean;
  issuedAt: number;
  expiresAt: number | null;
  passwordEpoch: number;
  /** The 190 subcode this token answers with, once it was revoked. */
  revokedWith: number | null;
}

export interface AuthorizationCode {
  value: string;
  flow: Flow;
  subjectId: string;
  redirectUri: string;
  expiresAt: number;
  used: boolean;
}

export interface AppSubscription {
  object: string;
  callbackUrl: string;
  verifyToken: string;
  fields: { name: string; version: string }[];
  active: boolean;
}

export interface FaultRule {
  id: string;
  match: {
    host?: string | undefined;
    method?: string | undefined;
    /** Path without host and version; `*` stands for anything. */
    path?: string | undefined;
    /** A token label. */
    token?: string | undefined;
    /** A Page id or an Instagram account id. */
    account?: string | undefined;
    nth?: number | undefined;
    probability?: number | undefined;
  };
  action: string;
  params: Record<string, unknown>;
  times: number | null;
  after: number;
  applyFirst: boolean;
  seen: number;
  fired: number;
}

export interface SuppressionReason {
  code: string;
  message: string;
}

export interface DeliveryAttempt {
  number: number;
  at: number;
  status: number | null;
  latencyMs: number;
  answer: string;
  verdict: 'accepted' | 'refused' | 'timeout' | 'unreachable';
}

export type SignatureVariant = 'valid' | 'wrong' | 'missing' | 'sha1only' | 'otherSecret' | 'truncated';

/** One POST to the app's webhook, or the reason why there is none. */
export interface Delivery {
  id: string;
  summary: string;
  object: string;
  accountIds: string[];
  fields: string[];
  flow: Flow;
  createdAt: number;
  body: string;
  callbackUrl: string;
  signature: SignatureVariant;
  state: 'pending' | 'held' | 'delivered' | 'suppressed' | 'dropped';
  reasons: SuppressionReason[];
  attempts: DeliveryAttempt[];
  nextAttemptAt: number;
  /** Deliveries of one lane leave one after the other; lanes run side by side. */
  lane: string;
}
