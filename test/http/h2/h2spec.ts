import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { INTERNAL_ERROR } from "../../../src/http/h2/codes.ts";
import { closeLabs, type LabOptions, serverLab, testCertificate } from "../../helpers/h2-lab.ts";
import { assertAllPassed, runH2spec } from "../../helpers/h2spec.ts";

/**
 * All cases of h2spec against our server: `H2SPEC=/path/to/h2spec node --test test/http/h2/h2spec.ts`. Not among the tests of
 * `npm test`, because no registry of packages brings that program.
 */
afterEach(closeLabs);

async function specOf(options: LabOptions, ...flags: string[]): Promise<string> {
  const lab = await serverLab(options);
  const said = await runH2spec(lab.port, ...flags);
  const internal = lab.refused.filter(([code]) => code === INTERNAL_ERROR);
  assert.deepEqual(internal, []);
  return said;
}

describe("h2spec", () => {
  it("passes all 146 cases, and the strict ones, in the clear", async () => {
    assertAllPassed(await specOf({}, "--strict"), 147);
  });

  it("passes all 146 cases, and the strict ones, over TLS with ALPN", async () => {
    assertAllPassed(await specOf({ tls: testCertificate() }, "--strict", "-t", "-k"), 147);
  });
});
