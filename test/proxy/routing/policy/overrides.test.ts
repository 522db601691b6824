import assert from "node:assert/strict";
import { test } from "node:test";
import type { RetryRule } from "../../../../src/core/traffic.ts";
import {
  deadlineLine,
  overriddenRetry,
  readOverrides,
} from "../../../../src/proxy/routing/policy/overrides.ts";
import { requestWith } from "./fixture.ts";

const RULE: RetryRule = {
  attempts: 3,
  perTryMs: 100,
  on: ["reset"],
  statuses: [[503, 503]],
  backoff: { baseMs: 1, maxMs: 2 },
  unsafe: false,
  avoidTried: false,
};
const read = (...lines: string[]) => {
  const overrides = readOverrides(requestWith(lines));
  if (overrides === null) return null;
  const { strip: _, ...values } = overrides;
  return values;
};

test("a request without any has none", () => {
  assert.equal(
    readOverrides(requestWith(["Accept: x-envoy-max-retries", "X-Foo: l5d-timeout"])),
    null,
  );
  assert.equal(
    readOverrides(requestWith(["x-envoy-attempt-count: 3", "l5d-dst-override: a"])),
    null,
  );
});

test("Envoy's and Linkerd's names are read in any case", () => {
  assert.deepEqual(read("X-Envoy-Upstream-Rq-Timeout-Ms: 250"), { requestMs: 250 });
  assert.deepEqual(read("x-envoy-upstream-rq-timeout-ms: 0"), { requestMs: 0 });
  assert.deepEqual(read("x-envoy-upstream-rq-per-try-timeout-ms: 20"), { perTryMs: 20 });
  assert.deepEqual(read("x-envoy-max-retries: 5"), { retries: 5 });
  assert.deepEqual(read("x-envoy-retry-on: 5xx, RESET,nonsense"), { on: ["5xx", "reset"] });
  assert.deepEqual(read("x-envoy-retriable-status-codes: 429,503"), {
    statuses: [
      [429, 429],
      [503, 503],
    ],
  });
  assert.deepEqual(read("L5d-Timeout: 1.5s"), { requestMs: 1_500 });
  assert.deepEqual(read("l5d-request-timeout: 2m"), { requestMs: 120_000 });
  assert.deepEqual(read("l5d-response-timeout: 300ms"), { deadlineMs: 300 });
  assert.deepEqual(read("l5d-retry-limit: 2", "l5d-retry-timeout: 50ms"), {
    retries: 2,
    perTryMs: 50,
  });
  assert.deepEqual(read("l5d-retry-http: 5xx,gateway-error,429,500-501"), {
    statuses: [
      [500, 599],
      [502, 504],
      [429, 429],
      [500, 501],
    ],
    replaces: true,
    on: ["timeout"],
  });
});

test("conditions of gRPC have fields of their own", () => {
  const both = "cancelled, UNAVAILABLE,5xx,nonsense";
  assert.deepEqual(read(`x-envoy-retry-grpc-on: ${both}`), { on: ["cancelled", "unavailable"] });
  assert.deepEqual(read(`x-envoy-retry-on: ${both}`), { on: ["5xx"] });
  assert.deepEqual(read(`l5d-retry-grpc: ${both}`), {
    on: ["cancelled", "unavailable", "timeout"],
    replaces: true,
  });
  const asked = readOverrides(requestWith(["x-envoy-retry-grpc-on: internal"]))!;
  const rule = overriddenRetry(RULE, asked, 9);
  assert.deepEqual([rule?.on, rule?.unsafe], [["reset", "internal"], false]);
});

test("deadlines of the caller are read, and the shortest counts", () => {
  const units = { "2H": 7.2e6, "3M": 180_000, "4S": 4_000, "5m": 5, "6000u": 6, "7000000n": 7 };
  for (const [value, ms] of Object.entries(units)) {
    assert.deepEqual(read(`grpc-timeout: ${value}`), { deadlineMs: ms }, value);
  }
  assert.deepEqual(read("grpc-timeout: 1S", "x-envoy-expected-rq-timeout-ms: 400"), {
    deadlineMs: 400,
  });
  // No time left is not "no limit".
  assert.deepEqual(read("grpc-timeout: 0m"), { deadlineMs: 1 });
  assert.deepEqual(read("grpc-timeout: 10n"), { deadlineMs: 1 });
});

test("what cannot be understood changes nothing, and is left out all the same", () => {
  const bad = {
    "x-envoy-upstream-rq-timeout-ms": ["", "-1", "1.5", "1e3", "0x10", "1s", "9".repeat(30)],
    "x-envoy-max-retries": ["-1", "many", "3,4"],
    "x-envoy-retry-on": ["", ",,,", "everything", "unavailable"],
    "x-envoy-retry-grpc-on": ["", "5xx", "14"],
    "l5d-retry-grpc": ["", "5xx", "14"],
    "l5d-timeout": ["5", "5 s", "-5s", "1h30m", "1d", "s", "1.s"],
    "l5d-retry-http": ["", "abc", "600", "099", "504-502", "5xx-"],
    "grpc-timeout": ["", "1", "123456789S", "1s", "-1S", "1.5S"],
  };
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) {
      const overrides = readOverrides(requestWith([`${name}: ${value}`]));
      assert.deepEqual(overrides, { strip: [name] }, `${name}: ${value}`);
    }
  }
  assert.deepEqual(read("x-envoy-upstream-rq-timeout-ms: 9999999999"), { requestMs: 2 ** 31 - 1 });
});

test("every field that was read is left out of what goes on, once each", () => {
  const head = requestWith([
    "L5D-TIMEOUT: 1s",
    "l5d-timeout: 2s",
    "X-Other: 1",
    "grpc-timeout: 1S",
  ]);
  assert.deepEqual(readOverrides(head)?.strip, ["l5d-timeout", "grpc-timeout"]);
});

test("a field that is named like one of the language's own does no harm", () => {
  assert.equal(readOverrides(requestWith(["l5d-: 1", "__proto__: 1", "constructor: 1"])), null);
});

test("Envoy's conditions add to the rule's, Linkerd's replace them", () => {
  const envoy = readOverrides(requestWith(["x-envoy-retry-on: 5xx", "x-envoy-max-retries: 9"]))!;
  assert.deepEqual(overriddenRetry(RULE, envoy, 4), {
    ...RULE,
    attempts: 4,
    on: ["reset", "5xx"],
    unsafe: true,
  });
  const linkerd = readOverrides(requestWith(["l5d-retry-http: 429"]))!;
  const replaced = overriddenRetry(RULE, linkerd, 9)!;
  assert.deepEqual([replaced.on, replaced.statuses], [["timeout"], [[429, 429]]]);
  assert.equal(replaced.attempts, 3);
});

test("a number alone asks for no retries where the route has none", () => {
  const alone = readOverrides(requestWith(["x-envoy-max-retries: 9"]))!;
  assert.equal(overriddenRetry(null, alone, 9), null);
  assert.equal(overriddenRetry(RULE, alone, 99)?.attempts, 9);
  assert.equal(overriddenRetry(RULE, alone, 99)?.unsafe, false);
  const none = readOverrides(requestWith(["x-envoy-max-retries: 0"]))!;
  assert.equal(overriddenRetry(RULE, none, 99)?.attempts, 0);
  const named = readOverrides(requestWith(["x-envoy-retry-on: reset"]))!;
  const own = overriddenRetry(null, named, 9)!;
  assert.deepEqual([own.attempts, own.on, own.backoff.baseMs], [1, ["reset"], 25]);
});

test("the endpoint is told what is left, in whole ms and never 0", () => {
  assert.equal(deadlineLine(1_499.9), "x-envoy-expected-rq-timeout-ms: 1499\r\n");
  assert.equal(deadlineLine(0.2), "x-envoy-expected-rq-timeout-ms: 1\r\n");
  assert.equal(
    deadlineLine(250, true),
    "x-envoy-expected-rq-timeout-ms: 250\r\ngrpc-timeout: 250m\r\n",
  );
  assert.match(deadlineLine(2e8, true), /grpc-timeout: 200000S\r\n$/);
  assert.match(deadlineLine(Number.POSITIVE_INFINITY, true), /: 2147483647\r\n/);
});
