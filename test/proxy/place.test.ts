import assert from "node:assert/strict";
import test from "node:test";
import type { Place } from "../../src/core/snapshot.ts";
import {
  type ResilienceLab,
  type ResilienceOptions,
  resilienceLab,
  well,
} from "../helpers/resilience-lab.ts";

const settings = { locality: { enabled: true, hints: true } } as const;
const places = ["zone-a", "zone-b"].map((zone) => ({ zone, hints: { zones: [zone] } }));
const options: ResilienceOptions = { settings, places };

function move({ lab, web }: ResilienceLab, place: Place): void {
  const none = { services: [], removedServices: [], workloads: [], removedWorkloads: [] };
  assert.ok(web.endpoints.length > 0);
  lab.plane.apply({ revision: 9, full: false, ...none, place });
}

/** Requests that each endpoint has had of four. */
async function asked({ ask, counts }: ResilienceLab): Promise<number[]> {
  const before = counts();
  for (let count = 0; count < 4; count++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
  return counts().map((count, index) => count - (before[index] ?? 0));
}

test("requests stay in the zone that the registry knows the host to be in, when that becomes known", async (t) => {
  const lab = await resilienceLab(t, [well, well], options);
  assert.deepEqual(await asked(lab), [2, 2], "nobody knows where it is");
  move(lab, { zone: "zone-b", region: "" });
  assert.deepEqual(await asked(lab), [0, 4]);
  move(lab, { zone: "zone-a", region: "" });
  assert.deepEqual(await asked(lab), [4, 0]);
});

test("what the settings say of the zone goes before that", async (t) => {
  const lab = await resilienceLab(t, [well, well], { ...options, config: { zone: "zone-a" } });
  move(lab, { zone: "zone-b", region: "there" });
  assert.deepEqual(await asked(lab), [4, 0]);
});
