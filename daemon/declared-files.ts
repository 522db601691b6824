import type { FSWatcher } from "node:fs";
import { watch } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Log } from "../src/telemetry/log.ts";
import { describeError } from "../src/telemetry/log.ts";
import type { RegistryCall } from "./declarations.ts";
import { readDeclarations } from "./read-declarations.ts";

export interface DeclaredFilesOptions {
  readonly files: readonly string[];
  readonly registryUrl: string;
  /** Name of this host. */
  readonly host: string;
  /** Folder in which it is remembered what the files declared last. */
  readonly dataDir: string;
  readonly log: Log;
}

/** Editors write in several steps; the file is read when they have been quiet for this long. */
const SETTLE_MS = 200;
const TIMEOUT_MS = 10_000;

/**
 * Keeps the registry in step with files: what they declare is registered, again when a file changes, and
 * what left them is removed, also what left them while nobody watched.
 */
export class DeclaredFiles {
  readonly #options: DeclaredFilesOptions;
  readonly #memory: string;
  readonly #watchers: FSWatcher[] = [];
  #work: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: DeclaredFilesOptions) {
    this.#options = options;
    this.#memory = join(options.dataDir, "declared.json");
  }

  /** Registers what the files declare and watches them. Rejects where a file is bad or is refused. */
  async start(): Promise<void> {
    await this.#apply();
    for (const file of this.#options.files) {
      const name = basename(file);
      // The folder, because editors replace a file rather than write into it.
      const watcher = watch(dirname(resolve(file)), (_, changed) => {
        if (changed === null || changed === name) this.#soon();
      });
      watcher.on("error", (error) => {
        this.#options.log.warn("a file is no longer watched", { file, error });
      });
      this.#watchers.push(watcher);
    }
  }

  /** Stops watching. What is registered stays, as after any registration. */
  async close(): Promise<void> {
    for (const watcher of this.#watchers) watcher.close();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#work;
  }

  #soon(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#work = this.#work.then(() => this.#again());
    }, SETTLE_MS);
  }

  /** A bad edit changes nothing: what the files said before stays registered. */
  async #again(): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#apply();
    } catch (error) {
      log.error("the files are not applied", { reason: describeError(error) });
    }
  }

  async #apply(): Promise<void> {
    const { files, host, log } = this.#options;
    const declared = await Promise.all(files.map((file) => readDeclarations(file, host)));
    const before = await this.#remembered();
    const now = declared.flatMap(({ remove }) => remove);
    for (const [index, { apply }] of declared.entries()) {
      for (const call of apply) await this.#call(call, files[index] ?? "");
    }
    const kept = new Set(now.map(({ path }) => path));
    const gone = before.filter(({ path }) => !kept.has(path));
    for (const call of gone) await this.#call(call, "what left the files");
    if (now.length + before.length > 0) await this.#remember(now);
    if (now.length > 0 || gone.length > 0) {
      log.info("files applied", { records: now.length, removed: gone.length });
    }
  }

  async #call({ method, path, body }: RegistryCall, what: string): Promise<void> {
    const { registryUrl, host } = this.#options;
    const response = await fetch(new URL(path, registryUrl), {
      method,
      headers: { "content-type": "application/json", "x-hostmesh-host": host },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok) return;
    throw new Error(`${what}: the registry refused it: ${refusalText(text)}`);
  }

  async #remembered(): Promise<RegistryCall[]> {
    let text: string;
    try {
      text = await readFile(this.#memory, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed.filter(isRemoval) : [];
  }

  async #remember(calls: readonly RegistryCall[]): Promise<void> {
    await writeFile(`${this.#memory}.new`, `${JSON.stringify(calls, null, 2)}\n`);
    await rename(`${this.#memory}.new`, this.#memory);
  }
}

function isRemoval(value: unknown): value is RegistryCall {
  if (typeof value !== "object" || value === null) return false;
  if (!("method" in value) || !("path" in value) || typeof value.path !== "string") return false;
  return (value.method === "PUT" || value.method === "DELETE") && value.path.startsWith("/v1/");
}

/** The registry's own words out of its answer. */
function refusalText(answer: string): string {
  try {
    const body: unknown = JSON.parse(answer);
    if (typeof body === "object" && body !== null && "error" in body) return String(body.error);
  } catch {
    // An answer that is no JSON is shown as it is.
  }
  return answer.trim().slice(0, 500);
}
