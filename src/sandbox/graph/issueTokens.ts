import { newTokenValue } from '../ids';
import { type Page, type Person, type Token } from '../state';
import { nextId, type World } from '../world';
import { deathOf } from './checks';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export function issueUserToken(world: World, person: Person, longLived: boolean): Token {
  return issue(world, {
    value: newTokenValue('EAA'),
    label: nextId(world, `user-${person.name.split(' ')[0]?.toLowerCase()}-${longLived ? 'long' : 'short'}-`),
    kind: 'USER',
    flow: 'facebook',
    subjectId: person.id,
    pageId: null,
    longLived,
    issuedAt: world.now(),
    expiresAt: world.now() + (longLived ? 60 * DAY_MS : 1.5 * HOUR_MS) - roundingOf(world),
    passwordEpoch: person.passwordEpoch,
    revokedWith: null,
  });
}

/** A Page token ends with the short user token it comes from, and never when that is a long one. */
export function pageTokenFor(world: World, userToken: Token, page: Page): Token {
  const same = world.state.tokens.find(
    (token) =>
      token.kind === 'PAGE' &&
      token.pageId === page.id &&
      token.subjectId === userToken.subjectId &&
      token.longLived === userToken.longLived &&
      token.expiresAt === (userToken.longLived ? null : userToken.expiresAt) &&
      deathOf(world.state, token, world.now()) === null,
  );
  return (
    same ??
    issue(world, {
      ...userToken,
      value: newTokenValue('EAA'),
      label: nextId(world, `page-${page.name.split(' ')[0]?.toLowerCase()}-`),
      kind: 'PAGE',
      pageId: page.id,
      issuedAt: world.now(),
      expiresAt: userToken.longLived ? null : userToken.expiresAt,
    })
  );
}

function issue(world: World, token: Token): Token {
  world.state.tokens.push(token);
  world.changed();
  return token;
}

/** Lifetimes are never round numbers at Meta. */
function roundingOf(world: World): number {
  return (world.state.nextNumber % 60) * 1000;
}
