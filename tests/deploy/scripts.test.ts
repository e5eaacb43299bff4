import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processWebhookEvents } from '../../src/jobs/webhook-processor';
import { META_SECRET, useApp } from '../support/app';
import {
  type Finished,
  freePort,
  isInstalled,
  itWith,
  ROOT,
  run,
  runBeside,
  searchPath,
  selfSignedCertificate,
  temporaryDirectory,
} from './tools';

// Longer than a block of SHA-256, and with characters that a shell would love to touch.
const LONG_SECRET = 'Long $secret`"\\ '.replaceAll(' ', '-').repeat(6);
const SCRIPTS = ['quick-verify.sh', 'test-auth-simple.sh', 'test-webhooks.sh'];
const itWithScripts = itWith('bash', 'curl', 'openssl');
const itWithDatabase = itWith('bash', 'curl', 'openssl', 'psql');

const directory = temporaryDirectory();
const app = useApp({ env: { APP_SECRET: `${LONG_SECRET},${META_SECRET}`, WEBHOOK_LINGER_SECONDS: '3600' } });

function check(script: string, env: Record<string, string | undefined> = {}): Promise<Finished> {
  return runBeside('bash', [path.join(ROOT, 'scripts', script), '--env-file', '/dev/null'], {
    BASE_URL: app.url,
    DATABASE_URL: databaseUrl(),
    APP_SECRET: LONG_SECRET,
    ...env,
  });
}

const databaseUrl = () => app.context.config.database.connectionString;

async function whileProcessing<T>(work: () => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const processor = processWebhookEvents(app.context, stop.signal);
  try {
    return await work();
  } finally {
    stop.abort();
    await processor;
  }
}

async function count(table: string): Promise<number> {
  const { rows } = await app.context.pool.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
  return Number(rows[0]!.count);
}

describe('every shell script', () => {
  const files = fs.readdirSync(path.join(ROOT, 'scripts')).filter((name) => name.endsWith('.sh'));
  const all = [...files.map((name) => `scripts/${name}`), '.ci/run']
    .map((name) => path.join(ROOT, name))
    .filter((name) => fs.existsSync(name) && /^#.*sh\b/.test(fs.readFileSync(name, 'utf8')));

  itWith('shellcheck')('passes shellcheck', () => {
    expect(run('shellcheck', all).stdout).toBe('');
  });
});

describe.each(SCRIPTS)('%s', (script) => {
  itWithScripts('explains itself', async () => {
    const help = await runBeside('bash', [path.join(ROOT, 'scripts', script), '--help'], {});
    expect(help.output).toMatch(new RegExp(`^Usage: scripts/${script} `));
    expect(help.code).toBe(0);
  });

  itWithScripts('fails when nothing answers', async () => {
    const result = await check(script, { BASE_URL: 'http://127.0.0.1:9', DATABASE_URL: '' });
    expect(result.output).toMatch(/FAIL .*no answer/);
    expect(result.code).toBe(1);
  });

  itWithScripts('does without a database, and says so', async () => {
    const result = await check(script, { DATABASE_URL: '', APP_SECRET: '' });
    expect(result.output).toMatch(
      /skip {2}Database answers: (DATABASE_URL is not set|psql is not installed)/,
    );
    expect(result.output).toMatch(/\d+ passed, 0 failed, [1-9]\d* skipped\nNo look into the database: /);
    expect(result.code).toBe(0);
    await app.context.pool.query('DELETE FROM users');
  });
});

describe('test-auth-simple.sh', () => {
  itWithDatabase('finds registration and log-in in order, and leaves nobody behind', async () => {
    const result = await check('test-auth-simple.sh');
    expect(result.output).toContain('10 passed, 0 failed, 0 skipped');
    expect(result.code).toBe(0);
    expect(await count('users')).toBe(0);
  });

  itWithDatabase('deletes its person also when it is interrupted', async () => {
    const result = await interrupted('test-auth-simple.sh', 'pass  Registration');
    expect(result.output).toContain('is deleted');
    expect(result.code).toBe(143);
    expect(await count('users')).toBe(0);
  });
});

describe('test-webhooks.sh', () => {
  itWithDatabase('follows an event until it is processed, and leaves nothing behind', async () => {
    const result = await whileProcessing(() => check('test-webhooks.sh'));
    expect(result.output).toMatch(/pass {2}Processing: processed \d/);
    expect(result.output).toMatch(/pass {2}Processing log: attempt 1: /);
    expect(result.output).toMatch(/ 0 failed, [01] skipped/);
    expect(result.code).toBe(0);
    for (const table of ['webhook_events', 'webhook_deliveries', 'webhook_event_log']) {
      expect(await count(table)).toBe(0);
    }
    expect(await count('webhook_event_stats WHERE processed <> 0 OR dead_letter <> 0')).toBe(0);
  });

  itWithScripts('signs with the first of several secrets, and with a short one', async () => {
    for (const secret of [`${LONG_SECRET},other`, META_SECRET]) {
      const result = await check('test-webhooks.sh', { APP_SECRET: secret, DATABASE_URL: '' });
      expect(result.output).toContain('pass  Signed event: 200 EVENT_RECEIVED');
    }
    await app.context.pool.query('DELETE FROM webhook_events');
    await app.context.pool.query('DELETE FROM webhook_deliveries');
  });

  itWithScripts('says when the secret is another than the application has', async () => {
    const result = await check('test-webhooks.sh', { APP_SECRET: 'another-secret-than-theirs' });
    expect(result.output).toContain('FAIL  Signed event: got 401: is APP_SECRET');
    expect(result.code).toBe(1);
  });

  itWithDatabase('fails when nothing processes', async () => {
    const result = await check('test-webhooks.sh', { WAIT_SECONDS: '1' });
    expect(result.output).toContain('FAIL  Processing: after 1 s its status is pending');
    expect(result.code).toBe(1);
    expect(await count('webhook_deliveries')).toBe(0);
  });

  itWithDatabase('deletes its event also when it is interrupted', async () => {
    const result = await interrupted('test-webhooks.sh', 'pass  Signed event');
    expect(result.output).toContain('event and delivery are deleted');
    expect(await count('webhook_events')).toBe(0);
    expect(await count('webhook_deliveries')).toBe(0);
  });
});

describe('an environment file', () => {
  itWithDatabase('fills in what the environment lacks, and is never executed', async () => {
    const file = path.join(directory, 'environment');
    const executed = path.join(directory, 'executed');
    const lines = [
      '# settings',
      'BASE_URL=https://elsewhere.invalid',
      `DATABASE_URL="${databaseUrl()}"`,
      `PORT=$(touch ${executed})`,
    ];
    fs.writeFileSync(file, lines.join('\n'));
    const program = path.join(ROOT, 'scripts/quick-verify.sh');
    const result = await runBeside('bash', [program, '--env-file', file], {
      BASE_URL: app.url,
      DATABASE_URL: undefined,
    });
    expect(result.output).toContain('pass  Database answers');
    expect(result.output).toContain('pass  Health');
    expect(fs.existsSync(executed)).toBe(false);
  });
});

describe('secrets', () => {
  itWithDatabase(
    'are on no command line, in no output and with no program that does not need them',
    async () => {
      const seen = path.join(directory, 'seen');
      const spies = spyOn(['curl', 'openssl', 'psql', 'od', 'sed', 'tr', 'cut', 'date', 'cat'], seen);
      const password = new URL(databaseUrl()).password;
      expect(password).not.toBe('');
      // The address of the test cluster is inherited by whatever runs under jest.
      const env = { PATH: `${spies}:${searchPath()}`, TEST_ADMIN_URL: undefined };
      const results = await whileProcessing(async () => [
        await check('test-auth-simple.sh', env),
        await check('test-webhooks.sh', env),
      ]);
      const shown = fs.readFileSync(seen, 'utf8') + results.map(({ output }) => output).join('');
      expect(results.map(({ code }) => code)).toEqual([0, 0]);
      expect(shown).toContain('psql -XqAtw');
      expect(shown).not.toContain(LONG_SECRET);
      expect(shown.replaceAll(`PGPASSWORD=${password}`, '')).not.toContain(password);
    },
  );
});

describe('quick-verify.sh', () => {
  let address = '';
  let certificate = '';
  let server: https.Server | undefined;

  beforeAll(async () => {
    if (isInstalled('openssl')) await startSecureServer();
  });

  itWithScripts('finds a good address in order', async () => {
    const result = await check('quick-verify.sh', { BASE_URL: address, ...trust() });
    expect(result.output).toContain('pass  Certificate: valid for localhost');
    expect(result.output).toMatch(/pass {2}Certificate lasts: (89|90) days, until /);
    expect(result.output).toContain('pass  HSTS: max-age=63072000; includeSubDomains');
    expect(result.output).toContain('pass  Health: healthy, up for 3600 s, production');
    expect(result.output).toMatch(/ 0 failed, /);
    expect(result.code).toBe(0);
  });

  itWithScripts('notices a certificate that nobody vouches for', async () => {
    const result = await check('quick-verify.sh', { BASE_URL: address });
    expect(result.output).toMatch(/FAIL {2}Certificate: 18 \(self.signed certificate\)/);
    expect(result.code).toBe(1);
  });

  itWithScripts('notices a certificate that runs out', async () => {
    const env = { BASE_URL: address, ...trust(), MIN_DAYS: '100' };
    const result = await check('quick-verify.sh', env);
    expect(result.output).toMatch(/FAIL {2}Certificate lasts: (89|90) days only/);
    expect(result.code).toBe(1);
  });

  itWithScripts('notices a certificate for another name', async () => {
    const other = address.replace('localhost', '127.0.0.1');
    const result = await check('quick-verify.sh', { BASE_URL: other, ...trust() });
    expect(result.output).toMatch(/FAIL {2}Certificate: 62 \(hostname mismatch\)/i);
  });

  const trust = () => ({ SSL_CERT_FILE: certificate, CURL_CA_BUNDLE: certificate });

  async function startSecureServer(): Promise<void> {
    const files = selfSignedCertificate(directory, 'localhost');
    certificate = files.certificate;
    const keys = { key: fs.readFileSync(files.key), cert: fs.readFileSync(files.certificate) };
    const port = await freePort();
    server = https.createServer(keys, (_request, response) => {
      response.setHeader('Strict-Transport-Security', 'max-age=63072000; includeSubDomains');
      response.end('{"status":"healthy","uptime":3600000.5,"environment":"production"}');
    });
    await new Promise<void>((resolve) => server!.listen(port, '127.0.0.1', resolve));
    address = `https://localhost:${port}`;
  }

  afterAll(() => {
    server?.closeAllConnections();
    server?.close();
  });
});

/** Ends the script with SIGTERM once it has printed the line. */
async function interrupted(script: string, line: string): Promise<Finished> {
  const output = path.join(directory, `${script}.out`);
  const program = path.join(ROOT, 'scripts', script);
  const started = runBeside(
    'bash',
    [
      '-c',
      `bash ${program} --env-file /dev/null > ${output} 2>&1 & child=$!
       until grep -q "${line}" ${output}; do kill -0 $child || break; sleep 0.05; done
       kill -TERM $child; wait $child`,
    ],
    { BASE_URL: app.url, DATABASE_URL: databaseUrl(), APP_SECRET: LONG_SECRET },
  );
  const { code } = await Promise.race([started, sleep(20_000, { code: null, output: '' }, { ref: false })]);
  return { code, output: fs.readFileSync(output, 'utf8') };
}

/** A directory of programs that write down how they were called, and with what environment, before they run. */
function spyOn(tools: string[], log: string): string {
  const spies = path.join(directory, 'spies');
  fs.mkdirSync(spies);
  for (const tool of tools) {
    const real = searchPath()
      .split(':')
      .map((folder) => path.join(folder, tool))
      .find((file) => fs.existsSync(file));
    const text = `#!/bin/sh\n{ echo "${tool} $*"; env; } >> ${log}\nexec ${real ?? tool} "$@"\n`;
    fs.writeFileSync(path.join(spies, tool), text, { mode: 0o755 });
  }
  return spies;
}
