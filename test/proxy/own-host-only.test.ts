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

test("what leaves serves on where nothing else is on its host, and is not asked by others", async (t) => {
  for (const policy of ["round-robin", "ring-hash"] as const) {
    const { lab, web, ask, counts } = await resilienceLab(t, [well, well, well], {
      ...{ settings, balance: { policy, slowStartMs: 0 } },
      places: [{ local: false }, { local: true, weight: 0 }, { local: true, health: "critical" }],
    });
    const [remote, leaving, unready] = web.endpoints;
    assert.ok(remote && leaving && unready);
    assert.match(await ask(), /^HTTP\/1\.1 200 /);
    assert.deepEqual(counts(), [0, 1, 0], policy);
    // Another here is ready: it is left alone again.
    lab.services({ ...web, endpoints: [remote, leaving, { ...unready, health: "passing" }] });
    for (let count = 0; count < 3; count++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
    assert.deepEqual(counts(), [0, 1, 3], policy);
    lab.services({ ...web, endpoints: [remote, { ...leaving, health: "critical" }] });
    assert.match(await ask(), /^HTTP\/1\.1 503 /, "what does not serve any more is not asked");
    // On another host that is no help.
    lab.services({ ...web, endpoints: [remote, { ...leaving, local: false }] });
    assert.match(await ask(), /^HTTP\/1\.1 503 /);
    assert.deepEqual(counts(), [0, 1, 3], policy);
  }
});

test("what leaves is not asked where a service is everybody's, whatever is on the own host", async (t) => {
  const { ask, counts } = await resilienceLab(t, [well, well], {
    places: [{ local: false }, { local: true, weight: 0 }],
  });
  for (let count = 0; count < 3; count++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
  assert.deepEqual(counts(), [3, 0]);
});
