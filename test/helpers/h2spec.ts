import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** `H2SPEC`, or what is on the path. Version 2.6.0 is meant. */
function findH2spec(): string {
  const { H2SPEC = "", PATH = "" } = process.env;
  if (H2SPEC !== "") return H2SPEC;
  const places = PATH.split(delimiter).map((folder) => join(folder, "h2spec"));
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new Error("h2spec is neither on the path nor named by H2SPEC");
  return found;
}

/** Runs it against a port of loopback; resolves with all that it said. */
export async function runH2spec(port: number, ...flags: readonly string[]): Promise<string> {
  const child = spawn(findH2spec(), ["-h", "127.0.0.1", "-p", `${port}`, ...flags]);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      said += chunk;
    });
  }
  await once(child, "close");
  return said;
}

/** Shows what failed, where not all passed. */
export function assertAllPassed(said: string, tests: number): void {
  const failures = said.slice(said.indexOf("Failures:"));
  assert.match(said, new RegExp(`${tests} tests, ${tests} passed, 0 skipped, 0 failed`), failures);
}

/** The numbers of the cases that failed, as `6.9.1/1`; with the sections they stand in. */
export function failuresOf(said: string): string[] {
  const at = said.indexOf("Failures:");
  if (at === -1) return [];
  const failed: string[] = [];
  let section = "";
  for (const line of said.slice(at).split("\n")) {
    section = /^\s*(\d[\d.]*)\.? [A-Z]/.exec(line)?.[1]?.replace(/\.$/, "") ?? section;
    const number = /^\s*× (\d+): /.exec(line)?.[1];
    if (number !== undefined) failed.push(`${section}/${number}`);
  }
  return failed;
}
