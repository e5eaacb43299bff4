// The floor of what any Node server spends: reads the body, checks the signature, answers.
import { Buffer } from 'node:buffer';
import { createHmac, timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import process from 'node:process';

const { APP_SECRET, PORT } = process.env;

http
  .createServer((req, res) => {
    const chunks = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => {
      const expected = createHmac('sha256', APP_SECRET).update(Buffer.concat(chunks)).digest();
      const given = Buffer.from(req.headers['x-hub-signature-256'].slice('sha256='.length), 'hex');
      res.writeHead(timingSafeEqual(expected, given) ? 200 : 401, { 'Content-Length': 2 });
      res.end('ok');
    });
  })
  .listen(Number(PORT), '127.0.0.1');
