import { invalidToken, type GraphError } from './errors';

/** The 190 error of a token that died of `subcode` (meta-platform §2.3). */
export function deadToken(subcode: number, now: number, expiredAt: number): GraphError {
  return invalidToken(subcode, messageFor(subcode, now, expiredAt));
}

function messageFor(subcode: number, now: number, expiredAt: number): string {
  const prefix = 'Error validating access token: ';
  switch (subcode) {
    case 458:
      return `${prefix}The user has not authorized application.`;
    case 459:
      return `${prefix}You cannot access the app till you log in to www.facebook.com and follow the instructions given.`;
    case 460:
      return `${prefix}The session has been invalidated because the user changed their password or Facebook has changed the session for security reasons.`;
    case 463:
      return `${prefix}Session has expired on ${metaDate(expiredAt)}. The current time is ${metaDate(now)}.`;
    case 464:
      return `${prefix}Sessions for the user are not allowed because the user is not a confirmed user.`;
    case 492:
      return `${prefix}The user of this Page access token does not have an appropriate role on the Page.`;
    default:
      return `${prefix}The session is invalid because the user logged out.`;
  }
}

/** `Tuesday, 17-Nov-26 03:00:00 PST`: the way Meta writes times into messages. */
function metaDate(at: number): string {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: 'America/Los_Angeles',
    weekday: 'long',
    day: '2-digit',
    month: 'short',
    year: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
  });
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
  const { weekday, day, month, year, hour, minute, second, timeZoneName } = parts;
  return `${weekday}, ${day}-${month}-${year} ${hour}:${minute}:${second} ${timeZoneName}`;
}
