import assert from "node:assert/strict";
import test from "node:test";
import { resilienceLab, well } from "../helpers/resilience-lab.ts";

const away = { away: true } as const;

test("endpoints behind a daemon that is away are called where there are no others", async (t) => {
  for (const policy of ["round-robin", "ring-hash"] as const) {
    const balance = { policy, slowStartMs: 0 };
    const { lab, web, ask, counts } = await resilienceLab(t, [well, well], { balance });
    const [first, second] = web.endpoints;
    assert.ok(first !== undefined && second !== undefined);
    const become = (...endpoints: typeof web.endpoints) => lab.services({ ...web, endpoints });
    const asked = async () => {
      const before = counts();
      for (let count = 0; count < 4; count++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
      return counts().map((count, index) => count - (before[index] ?? 0));
    };
    become({ ...first, ...away }, second);
    assert.deepEqual(await asked(), [0, 4], policy);
    become(first, { ...second, ...away });
    assert.deepEqual(await asked(), [4, 0], policy);
    // The other one takes nothing: whoever may be there is better than nobody.
    become({ ...first, ...away }, { ...second, health: "critical" });
    assert.deepEqual(await asked(), [4, 0], policy);
    become({ ...first, ...away });
    assert.deepEqual(await asked(), [4, 0], policy);
  }
});
