// Makes the database of the `lists` benchmark ahead of time: npm run bench:generate -- --events 5000000
import process from 'node:process';
import { parseArgs } from 'node:util';
import { startCluster } from './lib/cluster.mjs';
import { generatedDatabase } from './lists.mjs';

const { values } = parseArgs({ options: { events: { type: 'string', default: '5000000' } } });
const events = Number(values.events);
if (!Number.isInteger(events) || events < 1) throw new Error('--events must be a whole number above 0.');
const cluster = await startCluster('lists');
try {
  const url = new URL(await generatedDatabase(cluster, events));
  process.stdout.write(
    `${url.pathname.slice(1)} is ready; the benchmark starts its server again when it runs.\n`,
  );
} finally {
  await cluster.stop();
}
