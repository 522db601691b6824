import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** A program that the bench uses, and the Debian package that brings it. */
export interface Tool {
  readonly name: string;
  readonly path: string;
  readonly version: string;
}

/** Path of a program, also where Debian keeps it out of an ordinary user's PATH; null: it is not there. */
export async function findProgram(name: string): Promise<string | null> {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const folder of [...folders, "/usr/sbin", "/sbin"]) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return null;
}

/** Finds a program and asks it for its version with `flag`; null: it is not there. */
export async function findTool(name: string, flag: string): Promise<Tool | null> {
  const path = await findProgram(name);
  if (path === null) return null;
  return { name, path, version: parseVersion(await outputOf(path, flag)) };
}

/** The first thing in the text that looks like a version. */
export function parseVersion(text: string): string {
  return /\d+\.\d+(?:\.\d+)?[\w.+-]*/.exec(text)?.[0] ?? "unknown";
}

/** nginx writes its version to standard error, and wrk exits with 1. */
async function outputOf(path: string, flag: string): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)(path, [flag], { timeout: 5_000 });
    return stdout + stderr;
  } catch (error) {
    if (error instanceof Error && "stdout" in error && "stderr" in error) {
      return `${error.stdout}${error.stderr}`;
    }
    throw error;
  }
}
