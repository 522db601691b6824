import { type FileHandle, readFile, stat } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as z from "zod";
import type { Clock } from "../core/clock.ts";
import { HeldState, type Step } from "./held-state.ts";
import type { Log } from "./log.ts";
import { positionSchema } from "./protocol.ts";
import { versionedChangeSchema } from "./record-schema.ts";
import { replaceFile } from "./replace-file.ts";
import type { Timers } from "./timers.ts";

/** Changes that come together are written together; a longer write makes the next one wait longer. */
const SETTLE_MS = 1_000;
const PAUSE_PER_WRITE = 10;
/** Records encoded between two turns of the event loop. */
const BATCH = 500;
/** A file beyond this is not one that we wrote. */
const MAX_FILE_BYTES = 1_073_741_824;

const fileSchema = z.object({
  format: z.literal("hostmesh-snapshot/1"),
  epoch: z.string(),
  revision: z.number().int().min(1),
  digest: z.string(),
  position: z.exactOptional(positionSchema),
  changes: z.array(versionedChangeSchema),
});

export interface SnapshotFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

/**
 * The last good state on disk. Written to a temporary file, synced and renamed, so that a reader finds
 * the old state or the new one, whatever happens in between; in small pieces, between which other work
 * runs.
 */
export class SnapshotFile {
  readonly #options: SnapshotFileOptions;
  #cancel: (() => void) | null = null;
  #writing: Promise<void> | null = null;
  #pending: HeldState | null = null;
  #pauseMs = SETTLE_MS;
  #closing = false;

  constructor(options: SnapshotFileOptions) {
    this.#options = options;
  }

  /** The saved state; null where there is none, or none that can be trusted, which is logged. */
  async read(): Promise<{ readonly step: Step; readonly epoch: string } | null> {
    const { path, log } = this.#options;
    try {
      if ((await stat(path)).size > MAX_FILE_BYTES) throw new Error("the file is too large");
      const saved = fileSchema.parse(JSON.parse(await readFile(path, "utf8")));
      const { revision: to, changes, position = {} } = saved;
      const step = { from: 0, to, full: true, changes, position };
      const check = new HeldState();
      check.take(step, saved.epoch);
      if (check.digest() !== saved.digest) throw new Error("the digest does not match");
      return { step, epoch: saved.epoch };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      const reason = error instanceof Error ? error.message : String(error);
      log.warn("the saved snapshot is ignored", { path, reason });
      return null;
    }
  }

  /** Has the state written soon. It is read when that happens, so later changes come along. */
  save(state: HeldState): void {
    this.#pending = state;
    if (this.#cancel !== null || this.#writing !== null) return;
    this.#cancel = this.#options.timers.after(this.#pauseMs, () => this.#start());
  }

  /** Writes what is pending, at once, and waits for it. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#cancel?.();
    await this.#writing;
    if (this.#pending !== null) this.#start();
    await this.#writing;
  }

  #start(): void {
    this.#cancel = null;
    const state = this.#pending;
    this.#pending = null;
    if (state === null) return;
    const { clock, log, path } = this.#options;
    const startMs = clock.now();
    this.#writing = writeState(path, state)
      .catch((error: unknown) => log.error("the snapshot could not be saved", { path, error }))
      .then(() => {
        this.#writing = null;
        this.#pauseMs = Math.max(SETTLE_MS, PAUSE_PER_WRITE * (clock.now() - startMs));
        if (this.#pending !== null && !this.#closing) this.save(this.#pending);
      });
  }
}

async function writeState(path: string, state: HeldState): Promise<void> {
  // All of this is read in one turn, so that it belongs to one revision.
  const records = state.records();
  const facts = { epoch: state.epoch(), revision: state.revision(), digest: state.digest() };
  const position = state.position();
  const head = JSON.stringify({ format: "hostmesh-snapshot/1", ...facts, position });
  await replaceFile(path, (file) => writeRecords(file, head, records));
}

async function writeRecords(
  file: FileHandle,
  head: string,
  records: readonly unknown[],
): Promise<void> {
  await file.write(`${head.slice(0, -1)},"changes":[`);
  for (let start = 0; start < records.length; start += BATCH) {
    const lines = records.slice(start, start + BATCH).map((record) => JSON.stringify(record));
    await file.write(`${start === 0 ? "\n" : ",\n"}${lines.join(",\n")}`);
    await nextTurn();
  }
  await file.write("\n]}\n");
}
