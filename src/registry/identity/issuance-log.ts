import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readPrivateFile, writePrivateFile } from "./private-file.ts";

/** What was issued, as `hostmesh identity list` shows it. */
export interface IssuedCertificate {
  readonly identity: string;
  /** The host whose daemon asked for it. */
  readonly host: string;
  /** Hex. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 (hex) of the authority's certificate. */
  readonly issuer: string;
  /** PEM of the leaf. */
  readonly certificate: string;
}

const schema = z.object({
  identity: z.string(),
  host: z.string(),
  serial: z.string(),
  notBeforeMs: z.number(),
  notAfterMs: z.number(),
  issuer: z.string(),
  certificate: z.string(),
});

/** The newest of so many holders; beyond it those that expire first are forgotten. */
const MAX_ENTRIES = 20_000;
/** The file is written anew when it has so many times the lines that it needs. */
const SLACK = 4;
const MIN_LINES = 1_000;

export interface IssuanceLogOptions {
  /** `<dataDir>/ca`, which exists. */
  readonly folder: string;
  readonly wall: () => number;
  readonly maxEntries?: number;
  warn(message: string, facts?: Record<string, unknown>): void;
}

/** The newest certificate of every identity on every host, until it expires; survives restarts. */
export class IssuanceLog {
  readonly #options: IssuanceLogOptions;
  readonly #path: string;
  /** In the order of issue. */
  readonly #entries = new Map<string, IssuedCertificate>();
  #lines = 0;
  #replacedMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: IssuanceLogOptions) {
    this.#options = options;
    this.#path = join(options.folder, "issued.jsonl");
  }

  /** A line that cannot be read, as after a crash, is left out and reported. */
  static async open(options: IssuanceLogOptions): Promise<IssuanceLog> {
    const log = new IssuanceLog(options);
    const content = await readPrivateFile(log.#path);
    let broken = 0;
    for (const line of (content ?? "").split("\n")) {
      if (line === "") continue;
      const entry = readLine(line);
      if (entry === null) broken++;
      else log.#put(entry);
    }
    if (broken > 0) options.warn("lines of the list of certificates are unreadable", { broken });
    log.#prune();
    await log.#rewrite();
    return log;
  }

  /** Resolves when they are written. A failure is reported, and the certificates stay known until a restart. */
  async add(entries: readonly IssuedCertificate[]): Promise<void> {
    for (const entry of entries) this.#put(entry);
    this.#prune();
    this.#writing = this.#writing
      .then(() => this.#write(entries))
      .catch((error: unknown) =>
        this.#options.warn("the list of certificates could not be written", { error }),
      );
    await this.#writing;
  }

  /** Those that have not expired, in the order of issue. */
  live(): IssuedCertificate[] {
    const nowMs = this.#options.wall();
    return [...this.#entries.values()].filter(({ notAfterMs }) => notAfterMs > nowMs);
  }

  /** When a certificate last took the place of one by another authority, ms since the epoch. */
  replacedMs(): number {
    return this.#replacedMs;
  }

  async close(): Promise<void> {
    await this.#writing;
  }

  async #write(entries: readonly IssuedCertificate[]): Promise<void> {
    if (this.#lines + entries.length > Math.max(MIN_LINES, SLACK * this.#entries.size)) {
      await this.#rewrite();
      return;
    }
    const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
    await appendFile(this.#path, lines, { mode: 0o600 });
    this.#lines += entries.length;
  }

  async #rewrite(): Promise<void> {
    const entries = [...this.#entries.values()];
    const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
    await writePrivateFile(this.#path, lines);
    this.#lines = entries.length;
  }

  #put(entry: IssuedCertificate): void {
    const key = `${entry.host} ${entry.identity}`;
    const before = this.#entries.get(key);
    if (before !== undefined && before.issuer !== entry.issuer) {
      this.#replacedMs = this.#options.wall();
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  #prune(): void {
    const { maxEntries = MAX_ENTRIES, wall } = this.#options;
    if (this.#entries.size <= maxEntries) return;
    const nowMs = wall();
    for (const [key, { notAfterMs }] of this.#entries) {
      if (notAfterMs <= nowMs) this.#entries.delete(key);
    }
    if (this.#entries.size <= maxEntries) return;
    // Some more than must be, so that the next ones cost no sorting.
    const surplus = this.#entries.size - Math.floor(maxEntries * 0.95);
    const bySoonest = [...this.#entries].sort(([, a], [, b]) => a.notAfterMs - b.notAfterMs);
    for (const [key] of bySoonest.slice(0, surplus)) this.#entries.delete(key);
  }
}

function readLine(line: string): IssuedCertificate | null {
  try {
    return schema.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
