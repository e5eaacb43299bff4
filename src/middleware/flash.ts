import { type Request, type RequestHandler, type Response } from 'express';
import { type TFunction } from 'i18next';

export type FlashKind = 'success' | 'error' | 'info';

/** Keeps a message for the next page. `key` is in the catalogue, as in `accounts:flash.connected`. */
export function flash(req: Request, kind: FlashKind, key: string, values: Record<string, string> = {}): void {
  req.session.flash = [...(req.session.flash ?? []), { kind, key, values }].slice(-5);
}

/** Hands the kept messages to the page, once. They are taken only when a page is really rendered. */
export const flashMessages: RequestHandler = (req, res, next) => {
  const render: (view: string, options?: object) => void = res.render.bind(res);
  res.locals['flash'] = [];
  res.render = (view: string, options?: object) => {
    res.locals['flash'] = takeMessages(req, res);
    render(view, options);
  };
  next();
};

function takeMessages(req: Request, res: Response): { kind: FlashKind; text: string }[] {
  // Typed as always there, but a logged-out request has none.
  const session = req.session as Request['session'] | undefined;
  const messages = session?.flash ?? [];
  if (session?.flash !== undefined) delete session.flash;
  const t = res.locals['t'] as TFunction;
  return messages.map(({ kind, key, values }) => ({ kind, text: t(key, values) }));
}
