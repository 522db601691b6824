import assert from "node:assert/strict";
import { test } from "node:test";
import { settingsOfAnnotations } from "../../../src/dialects/linkerd/service-annotations.ts";

function read(annotations: Readonly<Record<string, string>>) {
  const warnings: string[] = [];
  const warn = (name: string, message: string) => void warnings.push(`${name}: ${message}`);
  return { ...settingsOfAnnotations(annotations, warn, "shop/web"), warnings };
}

test("nothing is said where there are no annotations, or only others'", () => {
  assert.deepEqual(read({ "example.com/x": "1", "linkerd.io/inject": "enabled" }), {
    settings: {},
    opaquePorts: [],
    warnings: [],
  });
});

test("retries have Linkerd's defaults, and repeat what the author lists", () => {
  const { settings, warnings } = read({
    "retry.linkerd.io/http": "5xx, 429,408-409,gateway-error",
  });
  assert.deepEqual(settings.retry, {
    attempts: 1,
    on: ["connect-failure", "refused-stream"],
    statuses: [
      [500, 599],
      [429, 429],
      [408, 409],
      [502, 504],
    ],
    backoff: { baseMs: 25, maxMs: 250 },
    unsafe: true,
    avoidTried: true,
    bodyBytes: 65_536,
  });
  assert.deepEqual(warnings, []);
  const more = read({
    "retry.linkerd.io/http": "5xx",
    "retry.linkerd.io/limit": "3",
    "retry.linkerd.io/timeout": "400ms",
  }).settings.retry;
  assert.deepEqual([more?.attempts, more?.perTryMs, more?.on.includes("timeout")], [3, 400, true]);
});

test("statuses of gRPC are retried, and nothing of HTTP beside them", () => {
  const { settings, warnings } = read({ "retry.linkerd.io/grpc": "Unavailable, internal" });
  assert.deepEqual(settings.retry?.on, [
    ...["connect-failure", "refused-stream", "unavailable", "internal"],
  ]);
  assert.deepEqual([settings.retry?.statuses, warnings], [[], []]);
});

test("a limit alone, with which Linkerd retries nothing, retries what is safe, and says so", () => {
  for (const annotation of ["retry.linkerd.io/limit", "retry.linkerd.io/timeout"]) {
    const value = annotation.endsWith("limit") ? "2" : "1s";
    const { settings, warnings } = read({ [annotation]: value });
    assert.ok(settings.retry?.on.includes("gateway-error"));
    assert.equal(settings.retry?.unsafe, false);
    assert.match(warnings[0] ?? "", /differently: Linkerd would retry nothing without retry/);
  }
});

test("of the timeouts of request and response the shorter one counts", () => {
  const { settings, warnings } = read({
    "timeout.linkerd.io/request": "5s",
    "timeout.linkerd.io/response": "2s",
    "timeout.linkerd.io/idle": "1m",
  });
  assert.deepEqual(settings.timeouts, { requestMs: 2_000, idleMs: 60_000 });
  assert.deepEqual(warnings, [
    "timeout.linkerd.io/request: no effect: timeout.linkerd.io/response is not longer, and ends the request before",
  ]);
});

const ACCRUAL = "balancer.linkerd.io/failure-accrual";

test("the circuit breaker has Linkerd's defaults, and each may be given", () => {
  assert.deepEqual(read({ [ACCRUAL]: "consecutive" }).settings.accrual, {
    ...{ maxFailures: 7, minPenaltyMs: 1_000, maxPenaltyMs: 60_000, jitterRatio: 0.5 },
  });
  assert.deepEqual(
    read({
      [ACCRUAL]: "unified",
      [`${ACCRUAL}-consecutive-max-failures`]: "0",
      [`${ACCRUAL}-consecutive-min-penalty`]: "100ms",
      [`${ACCRUAL}-consecutive-max-penalty`]: "5s",
      [`${ACCRUAL}-consecutive-jitter-ratio`]: "0.25",
      "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold": "0.9",
      "balancer.alpha.linkerd.io/failure-accrual-success-rate-window": "30s",
      "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests": "20",
    }).settings.accrual,
    {
      ...{ maxFailures: 0, minPenaltyMs: 100, maxPenaltyMs: 5_000, jitterRatio: 0.25 },
      successRate: { threshold: 0.9, windowMs: 30_000, minRequests: 20 },
    },
  );
  const without = { [`${ACCRUAL}-consecutive-max-failures`]: "3" };
  assert.equal(read(without).settings.accrual, undefined, "it is off unless asked for");
});

test("opaque ports are numbers and ranges", () => {
  const ports = (text: string) => read({ "config.linkerd.io/opaque-ports": text });
  assert.deepEqual(ports("3306, 25,4440-4442,25").opaquePorts, [25, 3306, 4440, 4441, 4442]);
  for (const bad of ["mysql", "0", "1-70000", "9-1", "25,,26", "1-65535"]) {
    const { opaquePorts, warnings } = ports(bad);
    assert.deepEqual(opaquePorts, [], bad);
    assert.match(warnings[0] ?? "", /no effect: .*write ports and ranges/, bad);
  }
});

test("what cannot be read has no effect, disturbs nothing else, and the warning says what to write", () => {
  const { settings, warnings } = read({
    "timeout.linkerd.io/request": "2",
    "timeout.linkerd.io/idle": "3s",
    "retry.linkerd.io/http": "600",
    "retry.linkerd.io/limit": "-1",
    "retry.linkerd.io/grpc": "unavailable,nope",
    [ACCRUAL]: "sometimes",
    "retry.linkerd.io/htp": "5xx",
    "balancer.alpha.linkerd.io/penalize-failures": "true",
    "hostmesh.io/rate-limit": "fast",
  });
  assert.deepEqual(settings, { timeouts: { idleMs: 3_000 } });
  assert.deepEqual(
    warnings.map((warning) => warning.split(": ")[0]).sort(),
    [
      ACCRUAL,
      "balancer.alpha.linkerd.io/penalize-failures",
      "hostmesh.io/rate-limit",
      "retry.linkerd.io/grpc",
      "retry.linkerd.io/htp",
      "retry.linkerd.io/http",
      "retry.linkerd.io/limit",
      "timeout.linkerd.io/request",
    ].sort(),
  );
  assert.ok(warnings.every((warning) => /: no effect: /.test(warning)));
  assert.match(warnings.join("\n"), /timeout.linkerd.io\/request: .*write one such as 500ms/);
});

test("our own annotations are read beside them", () => {
  const { settings } = read({
    "hostmesh.io/rate-limit": "100/s; by=source",
    "hostmesh.io/outlier-latency": "factor=3; min=50ms",
    "hostmesh.io/adaptive-concurrency": "min=5; max=200",
  });
  assert.deepEqual(settings.rateLimits?.[0]?.name, "annotation shop/web");
  assert.deepEqual(settings.outlier?.latency, { factor: 3, minMs: 50, minHosts: 3 });
  assert.deepEqual(settings.concurrency, { minLimit: 5, maxLimit: 200 });
});
