import { PAGE_FIELDS } from '../permissions';
import { type Page, type Token } from '../state';
import { type GraphCall } from './call';
import { requirePermission, requireTask } from './checks';
import { GraphError, invalidParameter, missingObject } from './errors';
import { type GraphRoute } from './graphHost';

/** `/{page}/subscribed_apps`: which apps are installed on a Page (meta-platform §3.6). */
export const installRoutes: GraphRoute[] = [
  { method: 'GET', pattern: '/:page/subscribed_apps', handle: listInstalls },
  { method: 'POST', pattern: '/:page/subscribed_apps', handle: install },
  { method: 'DELETE', pattern: '/:page/subscribed_apps', handle: uninstall },
];

function listInstalls(call: GraphCall): object {
  const { page } = requirePage(call);
  const { app } = call.world.state;
  const data = page.installs.map(({ fields }) => ({
    category: 'Business',
    link: new URL(app.redirectUris[0] ?? app.webhookUrl).origin,
    name: app.name,
    id: app.id,
    subscribed_fields: fields,
  }));
  return { data };
}

function install(call: GraphCall): object {
  const { page, token } = requirePage(call);
  const fields = readFields(call.params['subscribed_fields']);
  if (fields.some((field) => field.startsWith('messag'))) requirePermission(call, 'pages_messaging', page.id);
  page.installs = [{ appId: call.world.state.app.id, fields, installedBy: token.subjectId }];
  return { success: true };
}

function uninstall(call: GraphCall): object {
  const { page } = requirePage(call, ['APP']);
  page.installs = [];
  return { success: true };
}

/** The Page and its token, after the checks of scope, task and ownership. */
function requirePage(call: GraphCall, alsoAllowed: Token['kind'][] = []): { page: Page; token: Token } {
  const { token, world } = call;
  const id = call.segments['page'] === 'me' ? token?.pageId : call.segments['page'];
  const page = world.state.pages.find((known) => known.id === id);
  if (page === undefined || token === null) throw missingObject(id ?? 'me');
  if (alsoAllowed.includes(token.kind)) return { page, token };
  if (token.kind !== 'PAGE') {
    throw new GraphError({
      code: 210,
      message: '(#210) A page access token is required to request this resource.',
    });
  }
  requirePermission(call, 'pages_manage_metadata', page.id);
  requirePermission(call, 'pages_show_list', page.id);
  if (token.pageId !== page.id) throw missingObject(page.id);
  requireTask(page, token, ['MODERATE', 'MANAGE', 'FULL_CONTROL']);
  return { page, token };
}

function readFields(text: string | undefined): string[] {
  const fields = (text ?? '')
    .replace(/[[\]"\s]/g, '')
    .split(',')
    .filter(Boolean);
  if (fields.length === 0) throw invalidParameter('Param subscribed_fields must be a non-empty array');
  const unknown = fields.findIndex((field) => !PAGE_FIELDS.includes(field));
  if (unknown >= 0) {
    const known = PAGE_FIELDS.join(', ');
    throw invalidParameter(
      `Param subscribed_fields[${unknown}] must be one of {${known}} - got "${fields[unknown]}".`,
    );
  }
  return fields;
}
