import { type Pool } from 'pg';
import { type Config } from './config';
import { createPool } from './db/pool';
import { createHandshakeLog, type HandshakeLog } from './intake/handshakeLog';
import { createIntake, type Intake } from './intake/intake';
import { createRejectionLog, type RejectionLog } from './intake/rejectionLog';
import { createGraphClient, type GraphClient } from './meta/client';

/** What every route and job is given: settings, connections, and the way to Meta. */
export interface AppContext {
  readonly config: Config;
  /** Pages, APIs and jobs. */
  readonly pool: Pool;
  /** Webhook intake and health only: a slow dashboard cannot take its connections. */
  readonly intakePool: Pool;
  /**
   * Claiming and ending events; a COMMIT does not wait for the disk here. What a crash of PostgreSQL takes back of that is
   * processed again.
   */
  readonly queuePool: Pool;
  /** Stores what Meta sends, many deliveries at a time. */
  readonly intake: Intake;
  readonly graph: GraphClient;
  /** What the webhook's address refused, and who asked it to shake hands. */
  readonly rejections: RejectionLog;
  readonly handshakes: HandshakeLog;
}

const INTAKE_CONNECTIONS = 4;

export function createContext(config: Config): AppContext {
  const pool = createPool(config.database, 'app');
  const intakePool = createPool(config.database, 'intake', { max: INTAKE_CONNECTIONS });
  return {
    config,
    pool,
    intakePool,
    queuePool: createPool(config.database, 'queue', { isDurable: false }),
    intake: createIntake(intakePool),
    graph: createGraphClient(config.meta),
    rejections: createRejectionLog(pool),
    handshakes: createHandshakeLog(pool),
  };
}

export async function closeContext(context: AppContext): Promise<void> {
  const { pool, intakePool, queuePool, intake, rejections, handshakes } = context;
  await Promise.all([intake.close(), rejections.close(), handshakes.close()]);
  await Promise.all([pool.end(), intakePool.end(), queuePool.end()]);
}
