// The ceiling of what can be durable: signature, one multi-row INSERT into one table per batch, answer after COMMIT.
import { Buffer } from 'node:buffer';
import { createHmac, timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import process from 'node:process';
import pg from 'pg';

const { APP_SECRET, DATABASE_URL, PORT } = process.env;
const MOST_PER_BATCH = 200;
const MOST_IN_FLIGHT = 4;

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: MOST_IN_FLIGHT });
const waiting = [];
let inFlight = 0;

async function storeBatch() {
  inFlight++;
  const batch = waiting.splice(0, MOST_PER_BATCH);
  let status = 200;
  try {
    await pool.query({
      name: 'store',
      text: 'INSERT INTO received (body) SELECT unnest($1::bytea[])',
      values: [batch.map(({ body }) => body)],
    });
  } catch {
    status = 503;
  }
  inFlight--;
  for (const { res } of batch) {
    res.writeHead(status, { 'Content-Length': 2 });
    res.end('ok');
  }
  startBatches();
}

/** Nobody waits for a batch to fill: it is what came in while the others were under way. */
function startBatches() {
  while (waiting.length > 0 && inFlight < MOST_IN_FLIGHT) void storeBatch();
}

http
  .createServer((req, res) => {
    const chunks = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => {
      const body = Buffer.concat(chunks);
      const expected = createHmac('sha256', APP_SECRET).update(body).digest();
      const given = Buffer.from(req.headers['x-hub-signature-256'].slice('sha256='.length), 'hex');
      if (!timingSafeEqual(expected, given)) {
        res.writeHead(401).end();
        return;
      }
      waiting.push({ body, res });
      startBatches();
    });
  })
  .listen(Number(PORT), '127.0.0.1');
