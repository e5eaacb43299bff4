import { stableNumericId } from './ids';
import { type Comment, type Media, type Message } from './state';

const HOUR = 3_600_000;
const BAR = '17841455500011122';
const HOTEL = '17841455500022245';
const CREATOR = '17841455500033357';
const BAKERY = '17841455500044469';

const MEDIA: [id: string, account: string, product: Media['productType'], caption: string, hours: number][] =
  [
    ['17955501234567001', BAR, 'FEED', 'The terrace opens on Friday ☀️', 30],
    ['17955501234567003', BAR, 'REELS', 'How we pull the perfect flat white', 75],
    ['17955501234567005', BAR, 'FEED', 'New: roasted beetroot with dill', 140],
    ['17955501234560001', BAR, 'STORY', 'Tonight: live jazz at nine', 3],
    ['17955501234567007', BAR, 'AD', 'Two for one, all of November', 260],
    ['17955501234567011', HOTEL, 'FEED', 'Room 12 has the best sunrise', 52],
    ['17955501234567013', HOTEL, 'REELS', 'A minute on the pier', 190],
    ['17955501234567021', BAKERY, 'FEED', 'Rye, fresh at six', 20],
    ['17955501234567023', BAKERY, 'REELS', 'Folding croissants, 81 layers', 96],
    ['17955501234567031', CREATOR, 'FEED', 'Letterpress, first print of the year', 44],
  ];

const COMMENTS: [mediaId: string, customerId: string | null, text: string, parent?: number][] = [
  ['17955501234567001', 'lena', 'Are you open on Sunday?'],
  ['17955501234567001', null, 'We are, from nine to six!', 0],
  ['17955501234567001', 'tomas', 'Can I bring my dog?'],
  ['17955501234567001', 'aiko', '素敵なお店ですね 😊'],
  ['17955501234567003', 'lena', 'Which beans do you use?'],
  ['17955501234567003', 'aiko', 'So satisfying to watch'],
  ['17955501234567003', 'tomas', 'Mine never looks like that 😅'],
  ['17955501234567005', 'lena', 'Is it vegan?'],
  ['17955501234567005', null, 'It is.', 7],
  ['17955501234567005', 'tomas', '¿Tenéis opción sin gluten?'],
  ['17955501234567007', 'aiko', 'Does this include the weekend?'],
  ['17955501234567011', 'lena', 'Booked for March!'],
  ['17955501234567011', 'tomas', 'Is there parking near the hotel?'],
  ['17955501234567013', 'aiko', 'I can hear the gulls'],
  ['17955501234567013', 'lena', 'When does the ferry leave?'],
  ['17955501234567021', 'tomas', 'Best rye in town'],
  ['17955501234567021', 'aiko', 'Do you ship?'],
  ['17955501234567023', 'lena', '81?! Wow'],
  ['17955501234567031', 'tomas', 'Beautiful paper'],
  ['17955501234567031', 'aiko', 'Where can I buy this print?'],
];

const MESSAGES: [customerId: string, fromCustomer: boolean, text: string, hours: number][] = [
  ['lena', true, 'Hi! Do you take reservations for eight people?', 6],
  ['lena', false, 'Hello Lena, gladly. Which evening?', 5.5],
  ['lena', true, 'Friday at seven would be perfect', 5],
  ['tomas', true, '¡Hola! Is the kitchen open after ten?', 27],
  ['tomas', false, 'Until half past ten on weekdays.', 26],
];

export function seedMedia(now: number): Media[] {
  return MEDIA.map(([id, igAccountId, productType, caption, hours]) => ({
    id,
    igAccountId,
    productType,
    mediaType: productType === 'REELS' ? 'VIDEO' : 'IMAGE',
    caption,
    createdAt: now - hours * HOUR,
    likes: 12 + (Number(id.slice(-2)) % 7) * 31,
  }));
}

export function seedComments(now: number): Comment[] {
  const ids = COMMENTS.map((_, index) =>
    index === 0 ? '18055512340067890' : stableNumericId('18055', 17, `comment ${index}`),
  );
  return COMMENTS.map(([mediaId, customerId, text, parent], index) => ({
    id: ids[index] ?? '',
    igAccountId: MEDIA.find(([id]) => id === mediaId)?.[1] ?? BAR,
    mediaId,
    parentId: parent === undefined ? null : (ids[parent] ?? null),
    customerId,
    text,
    createdAt: now - (COMMENTS.length - index) * HOUR,
    hidden: false,
    deleted: false,
    likes: index % 4,
  }));
}

/** Two conversations, both with the bar. */
export function seedMessages(now: number): Message[] {
  return MESSAGES.map(([customerId, fromCustomer, text, hours], index) => ({
    mid: `aWdfSEED${Buffer.from(`message-${index}`).toString('base64url')}`,
    igAccountId: BAR,
    customerId,
    fromCustomer,
    text,
    attachment: null,
    createdAt: now - hours * HOUR,
    edits: 0,
    deleted: false,
    reaction: null,
  }));
}
