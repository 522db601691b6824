import { lstat, mkdir, rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { markProcess, writeDemoState } from "./state.ts";

/**
 * Where a demo keeps its registry when nobody names a folder: not in the host's own store. One per user, by
 * a fixed name, so that the next start finds what a killed demo left.
 */
export function demoDataFolder(): string {
  return join(tmpdir(), `hostmesh-demo-${userInfo().uid}`);
}

/** The file in a data folder that says which demo uses it. */
export function folderStateFile(folder: string): string {
  return join(folder, "demo.json");
}

/**
 * Is this our folder? Everybody may create names in a folder for temporary files, so what is there has to be
 * a real folder of this user that nobody else can write to. False where there is nothing.
 * @throws Error where it is anything else.
 */
export async function ownsDemoFolder(folder: string): Promise<boolean> {
  let found: Awaited<ReturnType<typeof lstat>>;
  try {
    found = await lstat(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
  const uid = process.getuid?.();
  const isOurs = uid === undefined || (found.uid === uid && (found.mode & 0o077) === 0);
  if (found.isDirectory() && isOurs) return true;
  throw new Error(
    `${folder} is not a folder of this user alone; remove it, or name one with --data`,
  );
}

/**
 * Makes the folder anew and writes down that this process uses it. What a killed demo left there must have
 * been removed before. @throws Error where the name is taken.
 */
export async function createDemoFolder(folder: string): Promise<void> {
  // Not recursive: that would accept whatever is there by now.
  await mkdir(folder, { mode: 0o700 });
  const owner = (await markProcess(process.pid)) ?? { pid: process.pid, startedAt: "" };
  await writeDemoState(folderStateFile(folder), { owner, processes: [] });
}

/** Removes the folder with all that is in it; a link in its place is not followed. */
export async function removeDemoFolder(folder: string): Promise<void> {
  // A data path that outlives its guardian for a moment may still write its snapshot.
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
