import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder } from "../replace-file.ts";
import { makePrivateFolder, readPrivateFile, writePrivateFile } from "./private-file.ts";
import {
  expectEntryName,
  PrivateConflictError,
  type PrivateEntry,
  type PrivateStore,
} from "./private-store.ts";

/** What a crash leaves of a file that was being written. */
const UNFINISHED = ".new";

/** Entries as files (0600) of a folder (0700), which belongs to one registry: nothing keeps two processes apart. */
export class FolderPrivateStore implements PrivateStore {
  readonly #folder: string;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the folder, or closes it to others. */
  static async open(folder: string): Promise<FolderPrivateStore> {
    await makePrivateFolder(folder);
    return new FolderPrivateStore(folder);
  }

  placeOf(name: string): string {
    expectEntryName(name);
    return join(this.#folder, name);
  }

  async read(name: string): Promise<PrivateEntry | null> {
    const content = await readPrivateFile(this.placeOf(name));
    return content === null ? null : { content, version: versionOf(content) };
  }

  write(name: string, content: string, expected: string | null): Promise<string> {
    return this.#inTurn(async () => {
      await this.#expect(name, expected);
      await writePrivateFile(this.placeOf(name), content);
      return versionOf(content);
    });
  }

  async list(): Promise<readonly string[]> {
    const found = await readdir(this.#folder, { withFileTypes: true });
    const names = found.filter((each) => each.isFile()).map(({ name }) => name);
    return names.filter((name) => !name.endsWith(UNFINISHED)).sort();
  }

  remove(name: string, expected: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#expect(name, expected);
      await rm(this.placeOf(name));
      await syncFolder(this.#folder);
    });
  }

  /** Ends when what was begun is on the disk. */
  async close(): Promise<void> {
    await this.#last;
  }

  async #expect(name: string, expected: string | null): Promise<void> {
    const present = await this.read(name);
    if ((present?.version ?? null) !== expected) throw new PrivateConflictError(name);
  }

  /** Nothing comes between a comparison and its write. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#last.then(task, task);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

/** The content says it all: who has read this text may replace it. */
function versionOf(content: string): string {
  return createHash("sha256").update(content).digest("hex");
}
