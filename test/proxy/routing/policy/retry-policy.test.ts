import assert from "node:assert/strict";
import { test } from "node:test";
import { CODES, type MeshErrorCode } from "../../../../src/core/errors.ts";
import { seeded } from "../../../../src/core/random.ts";
import type { RetryCondition, RetryRule } from "../../../../src/core/traffic.ts";
import {
  RetryPolicy,
  standardRetry,
  type TryOutcome,
} from "../../../../src/proxy/routing/policy/retry-policy.ts";

const RULE: RetryRule = {
  attempts: 2,
  on: [],
  statuses: [],
  backoff: { baseMs: 25, maxMs: 250 },
  unsafe: false,
  avoidTried: true,
};
const policyOn = (...on: RetryCondition[]) => new RetryPolicy({ ...RULE, on });
const answered = (status: number, method = "GET"): TryOutcome => ({
  ...{ status, code: null, method, replayable: true, sent: true },
});
const lost = (code: MeshErrorCode, method = "GET", sent = true): TryOutcome => ({
  ...{ status: 0, code, method, replayable: true, sent },
});

test("each condition takes the responses that Envoy's of that name takes", () => {
  const statuses = [200, 404, 408, 409, 429, 500, 501, 502, 503, 504, 505, 599];
  const taken = (on: RetryCondition) =>
    statuses.filter((status) => policyOn(on).wants(answered(status)));
  assert.deepEqual(taken("5xx"), [500, 501, 502, 503, 504, 505, 599]);
  assert.deepEqual(taken("gateway-error"), [502, 503, 504]);
  assert.deepEqual(taken("retriable-4xx"), [409]);
  for (const on of ["connect-failure", "refused-stream", "reset", "timeout"] as const) {
    assert.deepEqual(taken(on), [], on);
  }
});

test("statuses are ranges with both ends, beside the conditions", () => {
  const policy = new RetryPolicy({
    ...RULE,
    statuses: [
      [429, 429],
      [500, 502],
    ],
  });
  const taken = [428, 429, 430, 499, 500, 502, 503].filter((one) => policy.wants(answered(one)));
  assert.deepEqual(taken, [429, 500, 502]);
});

test("each condition takes the failures that it names", () => {
  const codes = ["CONNECT_REFUSED", "MESH_REFUSED", "UPSTREAM_RESET", "TRY_TIMEOUT"] as const;
  const taken = (on: RetryCondition) => codes.filter((code) => policyOn(on).wants(lost(code)));
  assert.deepEqual(taken("5xx"), codes);
  assert.deepEqual(taken("gateway-error"), codes);
  assert.deepEqual(taken("reset"), codes);
  assert.deepEqual(taken("connect-failure"), ["CONNECT_REFUSED", "MESH_REFUSED"]);
  assert.deepEqual(taken("refused-stream"), ["MESH_REFUSED"]);
  assert.equal(policyOn("refused-stream").wants(lost("UPSTREAM_REFUSED")), true);
  assert.deepEqual(taken("timeout"), ["TRY_TIMEOUT"]);
  assert.deepEqual(taken("retriable-4xx"), []);
  assert.deepEqual(taken("reset-before-request"), ["CONNECT_REFUSED", "MESH_REFUSED"]);
  assert.equal(policyOn("reset-before-request").wants(lost("UPSTREAM_RESET", "GET", false)), true);
});

test("what the error table calls never is never repeated, whatever the rule says", () => {
  const all = new RetryPolicy({ ...RULE, unsafe: true, on: ["5xx", "reset", "timeout"] });
  for (const code of Object.keys(CODES) as MeshErrorCode[]) {
    assert.equal(all.wants(lost(code)), CODES[code].retry !== "never", code);
  }
});

test("an unsafe method is repeated only where nothing can have reached an application", () => {
  const policy = policyOn("5xx", "connect-failure", "reset", "timeout", "reset-before-request");
  for (const method of ["POST", "PATCH", "CONNECT", "WHATEVER"]) {
    assert.equal(policy.wants(answered(503, method)), false, method);
    assert.equal(policy.wants(lost("UPSTREAM_RESET", method)), false, method);
    assert.equal(policy.wants(lost("TRY_TIMEOUT", method)), false, method);
    assert.equal(policy.wants(lost("UPSTREAM_RESET", method, false)), true, method);
    assert.equal(policy.wants(lost("CONNECT_REFUSED", method)), true, method);
  }
  for (const method of ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"]) {
    assert.equal(policy.wants(answered(503, method)), true, method);
    assert.equal(policy.wants(lost("UPSTREAM_RESET", method)), true, method);
  }
});

test("a rule whose author says that it is safe repeats any method", () => {
  const policy = new RetryPolicy({ ...RULE, on: ["5xx"], unsafe: true });
  assert.equal(policy.wants(answered(500, "POST")), true);
  assert.equal(policy.wants(lost("UPSTREAM_RESET", "POST")), true);
});

test("what cannot be sent whole, or was refused for overload, is not repeated", () => {
  const policy = new RetryPolicy({ ...RULE, on: ["5xx", "connect-failure"], unsafe: true });
  assert.equal(policy.wants({ ...lost("CONNECT_REFUSED"), replayable: false }), false);
  assert.equal(policy.wants({ ...answered(503), replayable: false }), false);
  assert.equal(policy.wants({ ...answered(503), overloaded: true }), false);
});

test("without a rule only lost tries are repeated, and no response", () => {
  const policy = new RetryPolicy(standardRetry(2));
  assert.equal(policy.attempts, 2);
  assert.equal(policy.wants(answered(503)), false);
  assert.equal(policy.wants(lost("CONNECT_REFUSED", "POST")), true);
  assert.equal(policy.wants(lost("UPSTREAM_RESET")), true);
  assert.equal(policy.wants(lost("UPSTREAM_RESET", "POST")), false);
  assert.equal(policy.wants(lost("UPSTREAM_TIMEOUT")), false);
  assert.equal(
    policy.backoffMs(1, () => 0.999),
    0,
  );
});

test("back-off has full jitter within (2^n - 1) times the base, capped", () => {
  const policy = policyOn("5xx");
  const highest = [1, 2, 3, 4, 5, 50, 5_000].map((retry) => policy.backoffMs(retry, () => 1));
  assert.deepEqual(highest, [25, 75, 175, 250, 250, 250, 250]);
  assert.equal(
    policy.backoffMs(3, () => 0),
    0,
  );
  const random = seeded(7);
  const mean =
    Array.from({ length: 2_000 }, () => policy.backoffMs(2, random)).reduce((a, b) => a + b) /
    2_000;
  assert.ok(mean > 35 && mean < 40, `${mean}`);
});

test("a pause that an endpoint asks for is jittered, and given up where it ends too late", () => {
  const policy = policyOn("5xx");
  assert.equal(
    policy.pauseMs(1, () => 0, 2_000, 10_000),
    2_000,
  );
  assert.equal(
    policy.pauseMs(1, () => 0.5, 2_000, 10_000),
    2_500,
  );
  assert.equal(
    policy.pauseMs(1, () => 0, 10_000, 10_000),
    null,
  );
  assert.equal(
    policy.pauseMs(1, () => 1, null, Number.POSITIVE_INFINITY),
    25,
  );
  assert.equal(
    policy.pauseMs(1, () => 1, null, 20),
    null,
  );
});
