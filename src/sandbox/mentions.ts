import { newNumericId } from './ids';
import { type Customer, type IgAccount, type Mention } from './state';
import { type World } from './world';

/** Load tests make thousands: older ones are forgotten, and their posts count as deleted. */
const KEPT_MENTIONS = 5000;

/** Writes it down, so that it can be read through `mentioned_comment` and `mentioned_media`. */
export function newMention(
  world: World,
  account: IgAccount,
  customer: Customer,
  place: 'comment' | 'caption',
  text: string,
): Mention {
  const mention: Mention = {
    igAccountId: account.id,
    customerId: customer.id,
    mediaId: newNumericId('17955', 17),
    commentId: place === 'caption' ? null : newNumericId('18055', 17),
    text,
    createdAt: world.now(),
  };
  const { mentions } = world.state;
  mentions.push(mention);
  mentions.splice(0, mentions.length - KEPT_MENTIONS);
  return mention;
}
