import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { itUnlessMissing, run } from '../deploy/tools';
import { commentItem, notification } from '../support/webhook';
import { Cluster } from './support/cluster';
import { storedComments } from './support/deliveries';
import { settings, startServer, waitUntil } from './support/processes';
import { Sender } from './support/sender';

const DISK_MEGABYTES = 80;
const ROOM_MEGABYTES = 8;
const REFUSALS = 200;
const MOST_POSTS = 3000;
const RECOVERY_SECONDS = 30;
const ACCOUNT = '17841400000000001';
const TEXT_BYTES = 15_000;

describe('a server whose database has no room left', () => {
  itUnlessMissing(mayMount() ? [] : ['the right to mount'])(
    'refuses deliveries, keeps what it acknowledged, and goes on when there is room',
    async () => {
      const cluster = new Cluster({
        diskMegabytes: DISK_MEGABYTES,
        initdb: ['--wal-segsize=1'],
        settings: { max_wal_size: '4MB', min_wal_size: '2MB' },
      });
      try {
        await cluster.create();
        await fillAndFree(cluster);
      } finally {
        await cluster.destroy();
      }
    },
  );
});

async function fillAndFree(cluster: Cluster): Promise<void> {
  const server = await startServer(settings(cluster.url));
  const sender = new Sender(server.port, 8);
  const acknowledged: string[] = [];
  let sent = 0;
  const post = async () => {
    const id = `c-${sent++}`;
    const text = randomBytes(TEXT_BYTES).toString('base64'); // which no compression makes smaller
    const answer = await sender.post(notification(ACCOUNT, { changes: [commentItem(id, text)] }));
    if (answer === 200) acknowledged.push(id);
    return answer;
  };

  const ballast = takeRoom(cluster.disk);
  let refusals = 0;
  while (refusals < REFUSALS && sent < MOST_POSTS) {
    const answers = await Promise.all(Array.from({ length: 8 }, post));
    for (const answer of answers) expect([200, 503]).toContain(answer);
    refusals += answers.filter((answer) => answer === 503).length;
  }
  expect(refusals).toBeGreaterThanOrEqual(REFUSALS);
  expect(acknowledged.length).toBeGreaterThan(100);
  expect(sender.refusalsWithoutDelay).toBe(0);

  fs.rmSync(ballast);
  if (!cluster.isRunning) await cluster.start(); // without room for its log it gives up; systemd would start it again
  await waitUntil('it answers 200', async () => (await post()) === 200, RECOVERY_SECONDS);
  expect(server.isRunning).toBe(true);
  const stored = new Set(await storedComments(cluster.pool, ACCOUNT));
  expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
  sender.close();
}

/** Writes a file that leaves little. @returns its path */
function takeRoom(disk: string): string {
  const { bavail, bsize } = fs.statfsSync(disk);
  const ballast = path.join(disk, 'ballast');
  fs.writeFileSync(ballast, Buffer.alloc(bavail * bsize - ROOM_MEGABYTES * 1024 * 1024));
  return ballast;
}

function mayMount(): boolean {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'insta-connect-demo-mount-'));
  const isMounted = run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place]).status === 0;
  if (isMounted) run('umount', [place]);
  fs.rmdirSync(place);
  return isMounted;
}
