import { type Request } from 'express';

const MACHINE_PATHS = /^\/(api|webhook|meta|health|metrics|alerts)([/.?]|$)/;

/** Pages are the default (a plain curl gets one); JSON for those who ask for it and where only programs call. */
export function wantsJson(req: Request): boolean {
  return MACHINE_PATHS.test(req.originalUrl) || req.accepts(['html', 'json']) === 'json';
}
