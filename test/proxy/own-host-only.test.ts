import assert from "node:assert/strict";
import test from "node:test";
import { answering } from "../helpers/raw.ts";
import { resilienceLab } from "../helpers/resilience-lab.ts";
import { OK } from "../helpers/web-lab.ts";

const well = answering(OK);
const settings = { locality: { enabled: true, only: "host" } } as const;

test("a service of its own host only is served there, however sessions are kept", async (t) => {
  for (const policy of ["round-robin", "ring-hash"] as const) {
    const { lab, web, ask, counts } = await resilienceLab(t, [well, well], {
      ...{ settings, balance: { policy, slowStartMs: 0 } },
      places: [{ local: false }, { local: true }],
    });
    for (let count = 0; count < 4; count++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
    assert.deepEqual(counts(), [0, 4], policy);
    // The one on this host leaves: the other is not asked, as an update must not let it in either.
    lab.services({ ...web, endpoints: web.endpoints.slice(0, 1) });
    assert.match(await ask(), /^HTTP\/1\.1 503 /);
    assert.deepEqual(counts(), [0, 4], policy);
  }
});
