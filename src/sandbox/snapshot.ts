import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { type Delivery, type SandboxState } from './state';

const WRITE_AFTER_MS = 50;
const KEPT_BODIES = 50;
const MAX_KEPT_BODY = 100_000;

/** Null when there is no snapshot or it cannot be used; an unusable one is moved aside. */
export function readSnapshot(file: string, log: (line: string) => void): SandboxState | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  try {
    const state = JSON.parse(text) as Omit<SandboxState, 'mentions'> & Partial<SandboxState>;
    // Those written before mentions could be read have none.
    if ((state.format as number) === 1) return { mentions: [], ...state };
    log(`sandbox: ${file} has an unknown format; starting afresh`);
  } catch {
    log(`sandbox: ${file} is not readable; starting afresh`);
  }
  renameSync(file, `${file}.unusable`);
  return null;
}

/**
 * Writes the state soon after each change, each time as a whole new file put in place by a rename,
 * so that being killed at any moment leaves either the old or the new snapshot.
 */
export class SnapshotWriter {
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly file: string,
    private readonly read: () => SandboxState,
    private readonly log: (line: string) => void,
  ) {
    mkdirSync(path.dirname(file), { recursive: true });
  }

  changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#writing = this.#writing.then(() => this.#write());
    }, WRITE_AFTER_MS).unref();
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#writing;
    const temporary = this.#temporaryFile();
    writeFileSync(temporary, serialize(this.read()), { mode: 0o600 });
    renameSync(temporary, this.file);
  }

  async #write(): Promise<void> {
    try {
      const temporary = this.#temporaryFile();
      await writeFile(temporary, serialize(this.read()), { mode: 0o600 });
      await rename(temporary, this.file);
    } catch (error) {
      this.log(`sandbox: the snapshot could not be written: ${String(error)}`);
    }
  }

  #temporaryFile(): string {
    return `${this.file}.${process.pid}.tmp`;
  }
}

function serialize(state: SandboxState): string {
  const finished = state.outbox.filter(({ state }) => state !== 'pending' && state !== 'held');
  const old = finished.slice(0, -KEPT_BODIES);
  const withoutBody = new Set([...old, ...finished.filter(({ body }) => body.length > MAX_KEPT_BODY)]);
  const outbox = state.outbox.map((delivery: Delivery) =>
    withoutBody.has(delivery) ? { ...delivery, body: '' } : delivery,
  );
  return JSON.stringify({ ...state, outbox });
}
