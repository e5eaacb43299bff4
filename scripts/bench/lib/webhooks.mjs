import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';
import { APP_SECRET } from './settings.mjs';

const TEXTS = [
  'Love this! When will it be back in stock?',
  'Is the blue one available in size M as well?',
  'Wonderful picture, greetings from Lisbon',
  'How much is shipping to Norway please?',
];
let nextId = 18_000_000_000_000_000n + BigInt(Date.now() % 1_000_000) * 1_000_000_000n;

/** The signed POST of one new comment on one of the accounts, about 400 bytes; no two are the same. */
export function commentRequest(accounts) {
  return signedRequest(delivery([entry(accounts, commentChange())]));
}

/** The signed POST of many new comments. */
export function commentsRequest(accounts, count) {
  return signedRequest(delivery(Array.from({ length: count }, () => entry(accounts, commentChange()))));
}

/** The signed POST of many events of a kind that the application keeps and does nothing about. */
export function noOpRequest(accounts, count) {
  const change = () => `{"field":"nothing_to_do","value":{"id":"${nextId}"}}`;
  return signedRequest(delivery(Array.from({ length: count }, () => entry(accounts, change()))));
}

/** New comments as the jobs of a queue would carry them. */
export function commentJobs(accounts, count) {
  return Array.from({ length: count }, () => {
    const { value } = JSON.parse(commentChange());
    return { igUserId: accounts[Number(nextId++ % BigInt(accounts.length))], ...value };
  });
}

function commentChange() {
  const id = nextId.toString();
  const number = Number(nextId % 100_000n);
  return (
    `{"field":"comments","value":{"id":"${id}","from":{"id":"6${id.slice(1)}","username":"customer_${number}"},` +
    `"media":{"id":"179${id.slice(3)}","media_product_type":"FEED"},` +
    `"text":"${TEXTS[number % TEXTS.length]} \\ud83d\\ude0d @shop #${number}",` +
    `"created_time":"${Math.floor(Date.now() / 1000)}","parent_id":"170${id.slice(3)}"}}`
  );
}

function entry(accounts, change) {
  const account = accounts[Number(nextId++ % BigInt(accounts.length))];
  return `{"id":"${account}","time":${Math.floor(Date.now() / 1000)},"changes":[${change}]}`;
}

function delivery(entries) {
  return `{"object":"instagram","entry":[${entries.join(',')}]}`;
}

function signedRequest(body) {
  const signature = createHmac('sha256', APP_SECRET).update(body).digest('hex');
  return (
    'POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\nContent-Type: application/json\r\n' +
    `X-Hub-Signature-256: sha256=${signature}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}
