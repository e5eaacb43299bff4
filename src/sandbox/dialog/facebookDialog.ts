import express, { Router, type Request, type Response } from 'express';

import { requireOwnPage } from '../control/guard';
import { FACEBOOK_PERMISSIONS } from '../permissions';
import { type Person } from '../state';
import { servedVersion } from '../versions';
import { type World } from '../world';
import { denyConsent, findFacebookGrant, grantConsent, pagesOf } from './consent';
import { permissionsToAsk, readDialogRequest, type DialogParams, type DialogRequest } from './request';

const HOST = 'www.facebook.com';

/** www.facebook.com: the login dialog with its consent page (meta-platform §1.2, §1.3). */
export function facebookDialog(world: World): Router {
  const router = Router();

  router.get(['/dialog/oauth', '/:version/dialog/oauth'], (req, res) => {
    const params = stringsOf(req.query);
    const request = readValid(world, req, res, params);
    if (request === null) return;
    const person = world.state.people.find(({ id }) => id === params['_person']);
    if (params['_auto'] !== undefined) {
      answerAutomatically(world, res, request, params, person ?? world.state.people[0]);
    } else if (person === undefined) {
      showPeople(world, req, res);
    } else {
      showConsent(world, req, res, request, person);
    }
  });

  router.post(
    ['/dialog/oauth', '/:version/dialog/oauth'],
    requireOwnPage,
    express.urlencoded({ extended: false }),
    (req, res) => {
      const request = readValid(world, req, res, stringsOf(req.query));
      if (request === null) return;
      const form = (req.body ?? {}) as Record<string, unknown>;
      const person = world.state.people.find(({ id }) => id === form['person']);
      if (form['decision'] !== 'continue' || person === undefined) {
        res.redirect(303, denyConsent(request, false));
        return;
      }
      const granted = request.isAllOrNothing ? request.permissions : listOf(form['permission']);
      const ticked = listOf(form['page']);
      const isEverything = form['future'] === '1' && ticked.length === pagesOf(world, person.id).length;
      const pageIds = isEverything ? null : ticked;
      res.redirect(303, grantConsent(world, request, { person, granted, pageIds }));
    },
  );

  router.use((_req, res) => {
    showError(res, 404, "This page isn't available here. Only the login dialog of Facebook is simulated.");
  });
  return router;
}

function readValid(world: World, req: Request, res: Response, params: DialogParams): DialogRequest | null {
  const { version } = req.params;
  const isKnown = typeof version !== 'string' || servedVersion(version, world.now()) !== null;
  const request = isKnown ? readDialogRequest(world, params) : 'This version of the API does not exist.';
  const isValid = typeof request !== 'string';
  world.journal.add({
    at: new Date(world.now()).toISOString(),
    host: HOST,
    method: req.method,
    path: req.path,
    parameters: Object.keys(params).sort(),
    token: null,
    status: isValid ? 200 : 400,
    errorCode: null,
    notes: isValid ? [] : [request],
  });
  if (isValid) return request;
  showError(res, 400, request);
  return null;
}

/** `_auto` answers in the person's place, for tests: grant, deny, forbidden or vanish. */
function answerAutomatically(
  world: World,
  res: Response,
  request: DialogRequest,
  params: DialogParams,
  person: Person | undefined,
): void {
  if (params['_auto'] === 'grant' && person !== undefined) {
    const declined = params['_decline']?.split(',') ?? [];
    const granted = request.permissions.filter((permission) => !declined.includes(permission));
    const pageIds = params['_pages']?.split(',').filter(Boolean) ?? null;
    res.redirect(302, grantConsent(world, request, { person, granted, pageIds }));
  } else if (params['_auto'] === 'deny' || params['_auto'] === 'forbidden') {
    res.redirect(302, denyConsent(request, params['_auto'] === 'forbidden'));
  } else {
    showError(res, 200, 'The person closed the window: nothing comes back to the app.');
  }
}

function showPeople(world: World, req: Request, res: Response): void {
  const people = world.state.people.map((person) => ({
    ...person,
    url: urlWith(req, { _person: person.id }),
    accounts: pagesOf(world, person.id).flatMap(({ igAccountId }) => usernameOf(world, igAccountId)),
  }));
  res.render('choose-person', { appName: world.state.app.name, people });
}

function showConsent(
  world: World,
  req: Request,
  res: Response,
  request: DialogRequest,
  person: Person,
): void {
  const grant = findFacebookGrant(world, person.id);
  const asked = permissionsToAsk(request, grant).filter((permission) => permission !== 'public_profile');
  const pages = pagesOf(world, person.id).map((page) => ({
    id: page.id,
    name: page.name,
    username: usernameOf(world, page.igAccountId)[0] ?? null,
    business: world.state.businesses.find(({ id }) => id === page.businessId)?.name ?? null,
  }));
  res.render('consent', {
    appName: world.state.app.name,
    appOrigin: new URL(request.redirectUri).origin,
    person,
    pages,
    permissions: asked.map((name) => ({ name, sentence: FACEBOOK_PERMISSIONS[name] ?? name })),
    isAllOrNothing: request.isAllOrNothing,
    isReturning: grant !== undefined,
    skipped: request.permissions.length - 1 - asked.length,
    action: urlWith(req, {}),
    otherPersonUrl: urlWith(req, { _person: '' }),
  });
}

function showError(res: Response, status: number, message: string): void {
  res.status(status).render('dialog-error', { message });
}

function usernameOf(world: World, igAccountId: string | null): string[] {
  return world.state.igAccounts.filter(({ id }) => id === igAccountId).map(({ username }) => username);
}

function urlWith(req: Request, changes: Record<string, string>): string {
  const params = Object.entries({ ...stringsOf(req.query), ...changes }).filter(
    ([name, value]) => name !== '_person' || value !== '',
  );
  return `${req.baseUrl}${req.path}?${new URLSearchParams(params).toString()}`;
}

function stringsOf(query: Request['query']): DialogParams {
  return Object.fromEntries(
    Object.entries(query).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}

function listOf(value: unknown): string[] {
  return [value].flat().filter((item) => typeof item === 'string');
}
