/** One call the app made. Holds no secret, token, code or text: names and labels only. */
export interface JournalEntry {
  number: number;
  /** ISO time on the virtual clock. */
  at: string;
  host: string;
  method: string;
  path: string;
  /** Parameter names, sorted, without values. */
  parameters: string[];
  /** The token's label; null without a token, `unknown` for one the sandbox never issued. */
  token: string | null;
  status: number | null;
  errorCode: number | null;
  notes: string[];
}

const KEPT_ENTRIES = 5000;

export class Journal {
  readonly #entries: JournalEntry[] = [];
  #count = 0;

  add(entry: Omit<JournalEntry, 'number'>): void {
    this.#entries.push({ number: ++this.#count, ...entry, path: withoutLongSegments(entry.path) });
    if (this.#entries.length > KEPT_ENTRIES) this.#entries.splice(0, KEPT_ENTRIES / 10);
  }

  /** Oldest first. */
  entries(): JournalEntry[] {
    return [...this.#entries];
  }

  clear(): void {
    this.#entries.length = 0;
  }
}

/** Whatever is as long as a token is not shown, even where no token belongs. */
function withoutLongSegments(path: string): string {
  return path
    .split('/')
    .map((segment) => (segment.length > 60 ? '…' : segment))
    .join('/');
}
