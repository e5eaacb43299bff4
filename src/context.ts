import { type Pool } from 'pg';
import { type Config } from './config';
import { createPool } from './db/pool';
import { createIntake, type Intake } from './intake/intake';
import { createGraphClient, type GraphClient } from './meta/client';

/** What every route and job is given: settings, connections, and the way to Meta. */
export interface AppContext {
  readonly config: Config;
  /** Pages, APIs and jobs. */
  readonly pool: Pool;
  /** Webhook intake and health only: a slow dashboard cannot take its connections. */
  readonly intakePool: Pool;
  /** Stores what Meta sends, many deliveries at a time. */
  readonly intake: Intake;
  readonly graph: GraphClient;
}

const INTAKE_CONNECTIONS = 4;

export function createContext(config: Config): AppContext {
  const intakePool = createPool(config.database, 'intake', INTAKE_CONNECTIONS);
  return {
    config,
    pool: createPool(config.database, 'app'),
    intakePool,
    intake: createIntake(intakePool),
    graph: createGraphClient(config.meta),
  };
}

export async function closeContext({ pool, intakePool, intake }: AppContext): Promise<void> {
  await intake.close();
  await Promise.all([pool.end(), intakePool.end()]);
}
