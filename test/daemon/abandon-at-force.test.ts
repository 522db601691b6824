import assert from "node:assert/strict";
import test from "node:test";
import { abandonAtForce } from "../../daemon/abandon-at-force.ts";

const forever = new Promise<never>(() => undefined);

test("work that hangs is abandoned when it is forced, and only then", async () => {
  const force = new AbortController();
  const result = abandonAtForce(forever, force.signal, 10);
  const first = await Promise.race([result, Promise.resolve("still waiting")]);
  assert.equal(first, "still waiting");
  force.abort();
  await assert.rejects(result, /stopped at once/);
  await assert.rejects(abandonAtForce(forever, force.signal, 0), /stopped at once/);
});

test("work that ends within the grace keeps its result, or its error", async () => {
  const force = new AbortController();
  force.abort();
  assert.equal(await abandonAtForce(Promise.resolve(7), force.signal, 60_000), 7);
  const failed = Promise.reject(new Error("of its own"));
  await assert.rejects(abandonAtForce(failed, force.signal, 60_000), /of its own/);
  assert.equal(await abandonAtForce(Promise.resolve(8), undefined, 0), 8);
});
