import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/**
 * OpenTelemetry's collector with the parts that the tests need, built from the module beside this file and kept outside of the tree.
 * `node test/collector/program.ts` builds it: a minute or two, once for each go.sum. Tests only look whether it is there. Exit
 * code 3: Go or the module cannot be had here; 1: they can, and the build failed.
 */

const MODULE = import.meta.dirname;
const BUILD_TIMEOUT_MS = 20 * 60_000;

/** With this in a reason for a skip, a run that demands privileged tests goes on: see test/run.ts. */
export const COLLECTOR_CANNOT_BE_BUILT = "the collector is not built here";

/** Where the program is, or would be. */
export function collectorProgram(): string {
  const key = createHash("sha256");
  for (const file of ["go.sum", "go.mod", "main.go"]) key.update(readFileSync(join(MODULE, file)));
  const { XDG_CACHE_HOME = "" } = process.env;
  const cache = XDG_CACHE_HOME === "" ? join(homedir(), ".cache") : XDG_CACHE_HOME;
  return join(cache, "hostmesh-test", `collector-${key.digest("hex").slice(0, 16)}`, "collector");
}

/** For `{ skip: collectorSkipReason() }`: why a test that needs a real collector cannot run here, or false. */
export function collectorSkipReason(): string | false {
  if (existsSync(collectorProgram())) return false;
  return `${COLLECTOR_CANNOT_BE_BUILT}: \`node test/collector/program.ts\` builds it, with Go and a minute or two`;
}

/** The go command's exit code is lost, but it has said why. */
function go(args: readonly string[]): void {
  const env = { CGO_ENABLED: "0", ...process.env };
  execFileSync("go", args, { cwd: MODULE, stdio: "inherit", timeout: BUILD_TIMEOUT_MS, env });
}

function isAvailable(): boolean {
  try {
    go(["mod", "download"]);
    return true;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.error(`${COLLECTOR_CANNOT_BE_BUILT}: ${reason}`);
    return false;
  }
}

function main(): number {
  const program = collectorProgram();
  if (existsSync(program)) return 0;
  if (!isAvailable()) return 3;
  const folder = dirname(program);
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    go([
      "build",
      "-mod=readonly",
      "-trimpath",
      "-ldflags=-s -w",
      "-o",
      join(unfinished, "collector"),
      ".",
    ]);
    renameSync(unfinished, folder);
    return 0;
  } catch {
    return 1;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

if (import.meta.main) process.exitCode = main();
