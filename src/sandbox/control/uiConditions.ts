import { type Request, type Router } from 'express';

import { advanceClock, parseDuration, resetClock } from '../clock';
import { addFault, removeFaults } from '../faults/faults';
import { changePassword, logOut, removeApp } from '../peopleActions';
import { findIgAccount, type World } from '../world';
import { releaseHeld, type ControlActions } from './api';
import { FAULT_PRESETS, findPreset } from './faultPresets';

const PAGE = '/_sandbox/ui/conditions';

/** Clock, faults, people and accounts: everything one changes about the world. */
export function conditionsPages(router: Router, world: World, actions: ControlActions): void {
  router.get('/conditions', (_req, res) => {
    res.render('conditions', {
      faultGroups: FAULT_PRESETS.map(({ group, presets }) => ({
        group,
        presets: presets.map((preset) => ({ ...preset, ...firingOf(world, preset.name) })),
      })),
      otherFaults: world.state.faults.filter(({ action }) => findPreset(action) === undefined),
      jumps: JUMPS,
      people: world.state.people.map((person) => ({
        ...person,
        allows: world.state.grants.some(({ subjectId }) => subjectId === person.id),
      })),
      accounts: world.state.igAccounts,
      heldCount: world.state.outbox.filter(({ state }) => state === 'held').length,
    });
  });

  router.post('/clock', (req, res) => {
    const { advance } = formOf(req);
    const ms = parseDuration(advance ?? '');
    if (ms === null) resetClock(world);
    else advanceClock(world, ms);
    res.redirect(303, PAGE);
  });

  router.post('/faults', (req, res) => {
    const { name, mode } = formOf(req);
    const preset = findPreset(name);
    for (const { id } of world.state.faults.filter(({ action }) => action === name)) removeFaults(world, id);
    if (mode === 'clear') removeFaults(world);
    if (preset !== undefined && mode === 'once') addFault(world, { ...preset.rule, times: 1 });
    if (preset !== undefined && mode === 'on') addFault(world, preset.rule);
    res.redirect(303, PAGE);
  });

  router.post('/people', (req, res) => {
    const { id, what } = formOf(req);
    if (id !== undefined && what === 'remove-app') removeApp(world, id);
    if (id !== undefined && what === 'change-password') changePassword(world, id);
    if (id !== undefined && what === 'log-out') logOut(world, id);
    res.redirect(303, `${PAGE}#people`);
  });

  router.post('/accounts', (req, res) => {
    const { id, what } = formOf(req);
    const account = findIgAccount(world.state, id ?? '');
    if (account !== undefined && what === 'private') account.isPrivate = !account.isPrivate;
    if (account !== undefined && what === 'messages')
      account.allowsMessageAccess = !account.allowsMessageAccess;
    world.changed();
    res.redirect(303, `${PAGE}#accounts`);
  });

  router.post('/release', (_req, res) => {
    releaseHeld(world);
    res.redirect(303, '/_sandbox/ui/deliveries');
  });

  router.post('/reset', (_req, res) => {
    actions.reset();
    res.redirect(303, '/_sandbox/ui');
  });
}

const JUMPS = [
  { value: '1h', title: '+ 1 hour', explanation: 'short tokens end soon after' },
  { value: '25h', title: '+ 25 hours', explanation: 'messaging window closes' },
  { value: '7d', title: '+ 7 days', explanation: 'private replies end' },
  { value: '54d', title: '+ 54 days', explanation: 'tokens are due for renewal' },
  { value: '61d', title: '+ 61 days', explanation: 'long-lived tokens end' },
  { value: '91d', title: '+ 91 days', explanation: 'data access ends' },
];

function firingOf(world: World, name: string): { isOn: boolean; isOnce: boolean; fired: number } {
  const rule = world.state.faults.find(({ action }) => action === name);
  const isUsedUp = rule?.times !== null && rule !== undefined && rule.fired >= rule.times;
  return { isOn: rule !== undefined && !isUsedUp, isOnce: rule?.times === 1, fired: rule?.fired ?? 0 };
}

function formOf(req: Request): Record<string, string | undefined> {
  return (req.body ?? {}) as Record<string, string | undefined>;
}
