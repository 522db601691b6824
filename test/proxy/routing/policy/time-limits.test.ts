import assert from "node:assert/strict";
import { test } from "node:test";
import {
  requestTimeout,
  timeLimits,
  tryTimeout,
} from "../../../../src/proxy/routing/policy/time-limits.ts";

const DEFAULTS = { requestMs: 0, perTryMs: 0, idleMs: 300_000 };

test("the request's own wish comes before the rule's, that before the service's, that before the defaults", () => {
  const layers = [{ requestMs: 100 }, { requestMs: 200, idleMs: 50 }];
  assert.deepEqual(timeLimits(DEFAULTS, layers, 30, null), {
    ...{ requestMs: 100, perTryMs: 30, idleMs: 50 },
  });
  const own = timeLimits(DEFAULTS, layers, 30, { requestMs: 900, perTryMs: 7, strip: [] });
  assert.deepEqual([own.requestMs, own.perTryMs], [900, 7]);
  assert.deepEqual(timeLimits(DEFAULTS, [undefined], undefined, null), DEFAULTS);
});

test("a rule's 0 lifts the limit of the layers below it", () => {
  assert.equal(
    timeLimits({ ...DEFAULTS, requestMs: 15 }, [{ requestMs: 0 }], 0, null).requestMs,
    0,
  );
});

test("the caller's deadline shortens and never lengthens", () => {
  const within = (requestMs: number, deadlineMs: number) =>
    timeLimits(DEFAULTS, [{ requestMs }], 0, { deadlineMs, strip: [] }).requestMs;
  assert.equal(within(100, 40), 40);
  assert.equal(within(100, 400), 100);
  assert.equal(within(0, 400), 400);
});

test("each limit has a failure of its own, both are 504s of the endpoint's side", () => {
  assert.equal(requestTimeout("shop", 5).code, "REQUEST_TIMEOUT");
  assert.equal(tryTimeout("10.0.0.1:80", 5).code, "TRY_TIMEOUT");
});
