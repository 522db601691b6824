import assert from "node:assert/strict";
import { test } from "node:test";
import { overflow, ServiceLimits } from "../../../../src/proxy/routing/policy/service-limits.ts";
import { hammer } from "./hammering.ts";

function newViews(slots: number, workers: number): (worker: number) => ServiceLimits {
  const buffer = new SharedArrayBuffer(ServiceLimits.bytesFor(slots, workers));
  return (worker) => new ServiceLimits(buffer, 0, slots, workers, worker);
}

test("each kind stops at its own limit, whichever worker asks", () => {
  const view = newViews(2, 2);
  assert.equal(view(0).tryRequest(1, 1), true);
  assert.equal(view(1).tryRequest(1, 1), false);
  assert.equal(view(1).tryPending(1, 1), true);
  assert.equal(view(0).tryPending(1, 1), false);
  assert.equal(view(1).tryRetry(1, 1), true);
  assert.equal(view(0).tryRetry(1, 1), false);
  assert.equal(view(1).tryConnection(1, 1), true);
  assert.equal(view(0).tryConnection(1, 1), false);
  assert.equal(view(0).tryRequest(0, 1), true);
  view(0).endRequest(1);
  assert.equal(view(1).tryRequest(1, 1), true);
});

test("a limit of 0 lets nothing through", () => {
  assert.equal(newViews(1, 1)(0).tryRetry(0, 0), false);
});

test("a slot is idle only when nothing of any kind is held", () => {
  const view = newViews(1, 1)(0);
  const kinds = [
    [() => view.tryRequest(0, 9), () => view.endRequest(0)],
    [() => view.tryPending(0, 9), () => view.endPending(0)],
    [() => view.tryRetry(0, 9), () => view.endRetry(0)],
    [() => view.tryConnection(0, 9), () => view.endConnection(0)],
  ] as const;
  for (const [take, giveBack] of kinds) {
    take();
    assert.equal(view.isIdle(0), false);
    giveBack();
    assert.equal(view.isIdle(0), true);
    assert.throws(giveBack, RangeError);
  }
});

test("real threads never exceed a limit, and dead ones give back what they held", async () => {
  const [workers, max] = [3, 2];
  const buffer = new SharedArrayBuffer(ServiceLimits.bytesFor(1, workers));
  const peaks = await hammer(
    [0, 1, 2].map((worker) => ({ kind: "limits" as const, buffer, workers, worker, max })),
  );
  for (const peak of peaks.flat()) assert.ok(peak >= 1 && peak <= max, `${peaks}`);
  const main = new ServiceLimits(buffer, 0, 1, workers, -1);
  assert.ok(main.requests(0) >= 1 && main.connections(0) >= 1, "each ended with some held");
  for (let worker = 0; worker < workers; worker++) main.releaseWorker(worker);
  assert.equal(main.isIdle(0), true);
});

test("a limit that is reached is a failure that names it", () => {
  const error = overflow("pending", "shop/cart", 7);
  assert.equal(error.code, "CIRCUIT_OPEN");
  assert.match(error.message, /shop\/cart .*7 requests that wait/);
});
