import { isIPv4 } from 'node:net';

import { type NextFunction, type Request, type Response } from 'express';

/** Lets only this machine in, by a name that a foreign site cannot have (DNS rebinding). */
export function requireLoopback(req: Request, res: Response, next: NextFunction): void {
  if (isLoopbackAddress(req.socket.remoteAddress ?? '') && isLoopbackName(req.get('host') ?? '')) next();
  else res.status(403).type('text').send('The sandbox is controlled from this machine only.\n');
}

/** Refuses a form that another site made this browser send; programs send neither header. */
export function requireOwnPage(req: Request, res: Response, next: NextFunction): void {
  const site = req.get('sec-fetch-site');
  const origin = req.get('origin');
  const isOwn =
    (site === undefined || site === 'same-origin' || site === 'none') &&
    (origin === undefined || origin === `http://${req.get('host')}`);
  if (isOwn || req.method === 'GET') next();
  else res.status(403).type('text').send('This request comes from another site.\n');
}

function isLoopbackAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'));
}

function isLoopbackName(host: string): boolean {
  const name = host.replace(/:\d+$/, '');
  return (
    name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name.replace(/^\[|\]$/g, ''))
  );
}
