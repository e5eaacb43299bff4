import { stableNumericId } from './ids';
import { seedComments, seedMedia, seedMessages } from './seedContent';
import {
  type AppRecord,
  type Business,
  type Customer,
  type IgAccount,
  type Page,
  type Person,
  type SandboxState,
} from './state';

export const ADA = '10225550001112223';
export const BRUNO = '10225550004445557';
export const CLEO = '10225550007778881';

export const BAR_ACCOUNT = '17841455500011122';
export const HOTEL_ACCOUNT = '17841455500022245';
export const CREATOR_ACCOUNT = '17841455500033357';
export const BAKERY_ACCOUNT = '17841455500044469';

const ALL_TASKS = ['ANALYZE', 'ADVERTISE', 'MESSAGING', 'MODERATE', 'CREATE_CONTENT', 'MANAGE'];
const MODERATOR_TASKS = ['ANALYZE', 'ADVERTISE', 'MESSAGING', 'MODERATE'];

/** The world every fresh sandbox starts with: meta-platform §8.2, and the example ids of its opening. */
export function seedState(app: AppRecord, now: number): SandboxState {
  return {
    format: 1,
    clockOffsetMs: 0,
    randomSeed: 1,
    nextNumber: 1,
    settings: {
      appCallsPerHour: 1_000_000,
      accountCallsPerDay: 1_000_000,
      usageHeaderFromPercent: 10,
      webhookDeadlineMs: 5000,
      retryProfile: 'graph',
      challenge: 'integer',
    },
    app,
    people: seedPeople(),
    businesses: seedBusinesses(),
    pages: seedPages(),
    igAccounts: seedIgAccounts(),
    customers: seedCustomers(),
    media: seedMedia(now),
    comments: seedComments(now),
    messages: seedMessages(now),
    mentions: [],
    grants: [],
    tokens: [],
    codes: [],
    subscriptions: [],
    usage: {},
    faults: [],
    outbox: [],
  };
}

const HARBOUR_GROUP = '900112233445567';

function seedPeople(): Person[] {
  return [
    { id: ADA, name: 'Ada Example', businessIds: [HARBOUR_GROUP], passwordEpoch: 0 },
    { id: BRUNO, name: 'Bruno Example', businessIds: [], passwordEpoch: 0 },
    { id: CLEO, name: 'Cleo Example', businessIds: [], passwordEpoch: 0 },
  ];
}

function seedBusinesses(): Business[] {
  return [{ id: HARBOUR_GROUP, name: 'Harbour Group' }];
}

function seedPages(): Page[] {
  const ada = { personId: ADA, tasks: ALL_TASKS, viaBusinessManager: false };
  const bruno = { personId: BRUNO, tasks: ALL_TASKS, viaBusinessManager: false };
  const moderator = { ...bruno, tasks: MODERATOR_TASKS };
  return [
    page('104455667788990', 'Bar Example', 'Cafe', BAR_ACCOUNT, [ada, moderator]),
    page('104455667788991', 'Old Town Notes', 'Community', null, [ada]),
    {
      ...page('104455667788993', 'Harbour Hotel', 'Hotel', HOTEL_ACCOUNT, [ada]),
      businessId: HARBOUR_GROUP,
    },
    page('104455667788995', 'Sunny Bakery', 'Bakery', BAKERY_ACCOUNT, [bruno]),
  ];
}

function page(
  id: string,
  name: string,
  category: string,
  igAccountId: string | null,
  roles: Page['roles'],
): Page {
  return { id, name, category, businessId: null, igAccountId, roles, installs: [] };
}

function seedIgAccounts(): IgAccount[] {
  return [
    {
      ...igAccount(BAR_ACCOUNT, '24111000222333444', 'bar.example', 'Bar Example'),
      biography: 'Small plates and good coffee, from eight to late.',
      website: 'https://bar.example',
      followers: 2418,
      follows: 181,
    },
    {
      ...igAccount(HOTEL_ACCOUNT, '24111000222333555', 'harbour.hotel', 'Harbour Hotel'),
      biography: 'Forty rooms above the ferry pier.',
      followers: 12_904,
      follows: 77,
    },
    {
      ...igAccount(BAKERY_ACCOUNT, '24111000222333777', 'sunny.bakery', 'Sunny Bakery'),
      biography: 'Sourdough, every morning at six.',
      followers: 873,
      follows: 240,
    },
    {
      ...igAccount(CREATOR_ACCOUNT, '24111000222333667', 'mila.creates', 'Mila Example'),
      accountType: 'MEDIA_CREATOR',
      biography: 'Paper, ink and slow mornings.',
      followers: 40_211,
      follows: 502,
    },
  ];
}

function igAccount(id: string, appScopedId: string, username: string, name: string): IgAccount {
  return {
    id,
    appScopedId,
    username,
    name,
    biography: '',
    website: '',
    accountType: 'BUSINESS',
    followers: 0,
    follows: 0,
    isPrivate: false,
    allowsMessageAccess: true,
    installs: [],
  };
}

function seedCustomers(): Customer[] {
  const customers = [
    { id: 'lena', username: 'lena.demo', name: 'Lena Demo' },
    { id: 'tomas', username: 'tomas.demo', name: 'Tomás Niño' },
    { id: 'aiko', username: 'aiko.demo', name: 'Aiko 愛子' },
  ];
  return customers.map((customer) => ({ ...customer, igsids: igsidsOf(customer.id) }));
}

function igsidsOf(customerId: string): Record<string, string> {
  const accounts = [BAR_ACCOUNT, HOTEL_ACCOUNT, BAKERY_ACCOUNT, CREATOR_ACCOUNT];
  const igsids = accounts.map((id) => [id, stableNumericId('12', 16, `${customerId}@${id}`)] as const);
  const known = customerId === 'lena' ? { [BAR_ACCOUNT]: '1203344556677889' } : {};
  return { ...Object.fromEntries(igsids), ...known };
}
