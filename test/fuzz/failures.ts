import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FOLDER = join(tmpdir(), "hostmesh-fuzz");

export interface Failure {
  readonly error: unknown;
  readonly file: string;
  /** What went wrong, and how to see it again. */
  readonly message: string;
}

/** Writes an input that fails to a temporary folder. */
export function writeFailure(target: string, input: Buffer, error: unknown): Failure {
  mkdirSync(FOLDER, { recursive: true });
  const hash = createHash("sha256").update(input).digest("hex").slice(0, 12);
  const file = join(FOLDER, `${target}-${hash}.bin`);
  writeFileSync(file, input);
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const replay = `node test/fuzz/main.ts ${target} ${file}`;
  return { error, file, message: `${target}: ${what}\n${input.length} bytes; replay: ${replay}` };
}
