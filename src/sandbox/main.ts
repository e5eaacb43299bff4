import { parseArgs } from 'node:util';

import { startSandbox } from './sandbox';

const USAGE = `Usage: npm run sandbox -- [options]
  --port 4900                 wanted port; a free one is taken when it is in use
  --host 127.0.0.1
  --state .data/sandbox.json  where the state is kept; "none" keeps nothing
  --webhook-url URL           the app's webhook
  --redirect-uri URL          allowed redirect URI; may be given several times
  --verify-token TEXT         the app's VERIFY_TOKEN
  --deauthorize-url URL       --deletion-url URL
  --app-id ID                 --app-secret TEXT
  --instagram-app-id ID       --instagram-app-secret TEXT
`;

const { values: flags } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    port: { type: 'string', default: '4900' },
    host: { type: 'string', default: '127.0.0.1' },
    state: { type: 'string', default: '.data/sandbox.json' },
    'webhook-url': { type: 'string', default: 'http://localhost:3000/webhook' },
    'redirect-uri': { type: 'string', multiple: true, default: ['http://localhost:3000/oauth/callback'] },
    'verify-token': { type: 'string', default: 'demo-verify-token' },
    'deauthorize-url': { type: 'string', default: 'http://localhost:3000/meta/deauthorize' },
    'deletion-url': { type: 'string', default: 'http://localhost:3000/meta/data-deletion' },
    'app-id': { type: 'string', default: '512004470011223' },
    'app-secret': { type: 'string', default: 'demo-meta-app-secret' },
    'instagram-app-id': { type: 'string', default: '698877001122334' },
    'instagram-app-secret': { type: 'string', default: 'demo-ig-app-secret' },
  },
});

async function main(): Promise<void> {
  const sandbox = await startSandbox({
    host: flags.host,
    port: Number(flags.port),
    ...(flags.state === 'none' ? {} : { stateFile: flags.state }),
    log: print,
    app: {
      appId: flags['app-id'],
      appSecret: flags['app-secret'],
      instagramAppId: flags['instagram-app-id'],
      instagramAppSecret: flags['instagram-app-secret'],
      redirectUris: flags['redirect-uri'],
      webhookUrl: flags['webhook-url'],
      verifyToken: flags['verify-token'],
      deauthorizeUrl: flags['deauthorize-url'],
      deletionUrl: flags['deletion-url'],
    },
  });
  print(`Meta sandbox (a simulation, not Meta): ${sandbox.url}/_sandbox/ui`);
  for (const [name, base] of Object.entries(sandbox.bases)) print(`  ${name}=${base}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void sandbox.close().then(() => process.exit(0));
    });
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (flags.help) {
  print(USAGE);
} else {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
