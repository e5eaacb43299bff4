// The same application, with one transaction per POST.
import http from 'node:http';
import process from 'node:process';
import { createApp } from '../../../dist/app.js';
import { loadConfig } from '../../../dist/config.js';
import { createContext } from '../../../dist/context.js';
import { createIntake } from '../../../dist/intake/intake.js';

const config = loadConfig();
const context = createContext(config);
const intake = createIntake(context.intakePool, {
  maxBatch: 1,
  maxInFlight: context.intakePool.options.max,
  // As in the application.
  maxWaiting: 2_000,
  maxWaitingBytes: 64 * 1024 * 1024,
  deadlineMs: 5_000,
});
http.createServer(createApp({ ...context, intake })).listen(config.port, config.host);
process.once('SIGTERM', () => process.exit());
