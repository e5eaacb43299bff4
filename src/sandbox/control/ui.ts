import express, { Router, type Request, type Response } from 'express';

import { type ControlActions } from './api';
import { conditionsPages } from './uiConditions';
import { deliveryRow } from './uiModel';
import { playPages } from './uiPlay';
import { type World } from '../world';

/** The control page: classic forms that work without JavaScript. */
export function controlUi(world: World, actions: ControlActions): Router {
  const router = Router();
  router.use(express.urlencoded({ extended: false }));
  router.use((_req, res, next) => {
    res.locals['appUrl'] = new URL(world.state.app.redirectUris[0] ?? world.state.app.webhookUrl).origin;
    res.locals['clock'] = clockText(world);
    res.locals['faultCount'] = world.state.faults.length;
    next();
  });
  playPages(router, world, actions);
  conditionsPages(router, world, actions);

  router.get('/deliveries', (req, res) => {
    const { state } = req.query;
    const rows = world.state.outbox.toReversed().map((delivery) => deliveryRow(world, delivery));
    const counts = Object.fromEntries(
      STATES.map((name) => [name, rows.filter((row) => row.state === name).length]),
    );
    const shown = rows.filter((row) => state === undefined || row.state === state).slice(0, 100);
    res.render('deliveries', {
      rows: shown,
      counts,
      total: rows.length,
      state: state ?? null,
      states: STATES,
    });
  });
  router.get('/calls', (_req, res) => {
    res.render('calls', { calls: world.journal.entries().toReversed().slice(0, 150) });
  });
  router.use((_req: Request, res: Response) => {
    res.status(404).type('text').send('There is no such page here.\n');
  });
  return router;
}

const STATES = ['delivered', 'suppressed', 'retrying', 'waiting', 'held', 'dropped'];

function clockText(world: World): { time: string; offset: string | null } {
  const time = new Intl.DateTimeFormat('en-GB', {
    dateStyle: 'medium',
    timeStyle: 'short',
    timeZone: 'UTC',
  }).format(world.now());
  const hours = Math.round(world.state.clockOffsetMs / 3_600_000);
  if (world.state.clockOffsetMs === 0) return { time, offset: null };
  return { time, offset: hours < 48 ? `${hours} h ahead` : `${Math.round(hours / 24)} days ahead` };
}
