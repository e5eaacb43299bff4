// The same application, answering before it stores: what an "immediate 200" would gain, and lose.
import http from 'node:http';
import process from 'node:process';
import { createApp } from '../../../dist/app.js';
import { loadConfig } from '../../../dist/config.js';
import { createContext } from '../../../dist/context.js';

const config = loadConfig();
const context = createContext(config);
const intake = {
  ...context.intake,
  store(delivery) {
    context.intake.store(delivery).catch(() => undefined);
    return Promise.resolve();
  },
};
http.createServer(createApp({ ...context, intake })).listen(config.port, config.host);
process.once('SIGTERM', () => process.exit());
