import { access, mkdir, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { BenchError, UsageError } from "../lib/bench-error.ts";

export const RESULT_FILE = "result.json";
export const REPORT_FILE = "report.html";
/** Generated configuration of everything that was measured. */
const CONFIG_FOLDER = "config";

/** Where the result goes. */
export interface OutFolder {
  readonly path: string;
  readonly configPath: string;
  write(file: string, text: string): Promise<string>;
  /** Takes away what was made, and the folder where nothing else is in it. */
  discard(): Promise<void>;
}

/**
 * Makes the folder before anything is measured: an hour of measuring must not end at a missing permission. One that
 * holds a result is refused, unless `force` says that it may be overwritten.
 */
export async function openOutFolder(given: string | null, force: boolean): Promise<OutFolder> {
  const path = resolve(given ?? `hostmesh-bench-${timestamp(new Date())}`);
  const isThere = await exists(join(path, RESULT_FILE));
  if (isThere && !force) {
    throw new UsageError(`--out ${path} holds a result; --force overwrites it`);
  }
  const configPath = join(path, CONFIG_FOLDER);
  if (!isThere && (await exists(configPath))) {
    throw new UsageError(
      `--out ${path} holds a ${CONFIG_FOLDER} that is no bench's; take another folder`,
    );
  }
  try {
    // Of the old configuration nothing may be left that was not used.
    if (isThere) await rm(configPath, { recursive: true, force: true });
    await makeFolder(configPath);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`--out ${path} cannot be written: ${reason}`, { cause });
  }
  return {
    ...{ path, configPath },
    async write(file, text) {
      const target = join(path, file);
      await writeFile(target, text).catch((cause: Error) => {
        throw new BenchError(`${target} cannot be written: ${cause.message}`, { cause });
      });
      return target;
    },
    async discard() {
      await rm(configPath, { recursive: true, force: true });
      await rmdir(path).catch(() => undefined);
    },
  };
}

/** With its parents. Node's own recursion never ends where a file system takes no folders, as /proc. */
async function makeFolder(path: string): Promise<void> {
  const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : "");
  try {
    await mkdir(path);
  } catch (error) {
    if (codeOf(error) === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (codeOf(error) !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path);
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Local time as `2026-11-20-140503`: sorts, and is a name of a file everywhere. */
function timestamp(date: Date): string {
  const pad = (value: number) => String(value).padStart(2, "0");
  const day = [date.getFullYear(), pad(date.getMonth() + 1), pad(date.getDate())].join("-");
  return `${day}-${pad(date.getHours())}${pad(date.getMinutes())}${pad(date.getSeconds())}`;
}
