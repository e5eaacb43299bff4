import { type Pool } from 'pg';
import { type Config } from './config';
import { createPool } from './db/pool';
import { createGraphClient, type GraphClient } from './meta/client';

/** What every route and job is given: settings, connections, and the way to Meta. */
export interface AppContext {
  readonly config: Config;
  /** Pages, APIs and jobs. */
  readonly pool: Pool;
  /** Webhook intake and health only: a slow dashboard cannot take its connections. */
  readonly intakePool: Pool;
  readonly graph: GraphClient;
}

const INTAKE_CONNECTIONS = 4;

export function createContext(config: Config): AppContext {
  return {
    config,
    pool: createPool(config.database, 'app'),
    intakePool: createPool(config.database, 'intake', INTAKE_CONNECTIONS),
    graph: createGraphClient(config.meta),
  };
}

export async function closeContext({ pool, intakePool }: AppContext): Promise<void> {
  await Promise.all([pool.end(), intakePool.end()]);
}
