import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { closeLabs, type LabOptions, serverLab, testCertificate } from "../../helpers/h2-lab.ts";

/**
 * All cases of h2spec against our server: `H2SPEC=/path/to/h2spec node --test test/http/h2/h2spec.ts`. Not among the tests of
 * `npm test`, because no registry of packages brings that program.
 */
afterEach(closeLabs);

/** `H2SPEC`, or what is on the path. Version 2.6.0 is meant. */
function findH2spec(): string {
  const { H2SPEC = "", PATH = "" } = process.env;
  if (H2SPEC !== "") return H2SPEC;
  const places = PATH.split(delimiter).map((folder) => join(folder, "h2spec"));
  return places.find((place) => existsSync(place)) ?? "";
}

const h2spec = findH2spec();
if (h2spec === "") throw new Error("h2spec is neither on the path nor named by H2SPEC");

async function runH2spec(options: LabOptions, ...flags: string[]): Promise<string> {
  const lab = await serverLab(options);
  const child = spawn(h2spec, ["-h", "127.0.0.1", "-p", `${lab.port}`, ...flags]);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      said += chunk;
    });
  }
  await once(child, "close");
  assert.equal(
    lab.refused.some(([code]) => code === 2),
    false,
    "no INTERNAL_ERROR",
  );
  return said;
}

/** What failed, where not all passed. */
function assertAllPassed(said: string, tests: number): void {
  const failures = said.slice(said.indexOf("Failures:"));
  assert.match(said, new RegExp(`${tests} tests, ${tests} passed, 0 skipped, 0 failed`), failures);
}

describe("h2spec", () => {
  it("passes all 146 cases, and the strict ones, in the clear", async () => {
    assertAllPassed(await runH2spec({}, "--strict"), 147);
  });

  it("passes all 146 cases, and the strict ones, over TLS with ALPN", async () => {
    assertAllPassed(await runH2spec({ tls: testCertificate() }, "--strict", "-t", "-k"), 147);
  });
});
