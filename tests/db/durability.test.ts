import { durabilityProblem } from '../../src/db/durability';
import { createPool } from '../../src/db/pool';
import { logger } from '../../src/utils/logger';
import { useDatabase } from '../support/database';

const { config } = useDatabase();

beforeAll(() => {
  logger.silent = true; // the test cluster runs without fsync
});

it.each([
  ['durable', true, null],
  ['any other', false, /synchronous_commit = off/],
])('a %s connection is known by asking it', async (_name, isDurable, problem) => {
  const pool = createPool(config, 'test', { max: 1, isDurable });
  const found = await durabilityProblem(pool);
  await pool.end();
  if (problem === null) expect(found).toBeNull();
  else expect(found).toMatch(problem);
});
