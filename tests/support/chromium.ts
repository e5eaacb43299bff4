import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

const EXECUTABLE = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What the page complained about: CSP violations, script errors, files that are missing. Must stay empty. */
export interface WatchedPage {
  page: Page;
  problems: string[];
}

/** A real Chromium with an empty profile; closed at the end of the file. */
export function useChromium(): {
  open(options?: Parameters<typeof chromium.launchPersistentContext>[1]): Promise<WatchedPage>;
} {
  const contexts: { context: BrowserContext; profile: string }[] = [];
  afterAll(async () => {
    for (const { context, profile } of contexts) {
      await context.close();
      fs.rmSync(profile, { recursive: true, force: true });
    }
  });
  return {
    async open(options = {}) {
      const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'insta-connect-demo-chromium-'));
      const context = await chromium.launchPersistentContext(profile, {
        executablePath: EXECUTABLE,
        headless: true,
        args: ARGUMENTS,
        ...options,
      });
      contexts.push({ context, profile });
      const page = context.pages()[0] ?? (await context.newPage());
      const problems: string[] = [];
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
      });
      page.on('pageerror', (error) => problems.push(error.message));
      return { page, problems };
    },
  };
}
