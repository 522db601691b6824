import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import { abortError, Faults } from "../../../../src/proxy/routing/policy/faults.ts";
import { requestWith } from "./fixture.ts";

const never = () => 0.999_999;
const always = () => 0;
const BOTH = { delay: { ms: 5_000, percent: 10 }, abort: { status: 503, percent: 50 } };

test("delay and abort are drawn apart, each with its share", () => {
  const faults = new Faults(BOTH);
  const random = seeded(3);
  const counts = { delay: 0, abort: 0, both: 0 };
  const rounds = 20_000;
  const head = requestWith();
  for (let round = 0; round < rounds; round++) {
    const { delayMs, status } = faults.draw(head, random);
    if (delayMs === 5_000) counts.delay += 1;
    if (status === 503) counts.abort += 1;
    if (delayMs > 0 && status > 0) counts.both += 1;
  }
  assert.ok(Math.abs(counts.delay / rounds - 0.1) < 0.01, `${counts.delay}`);
  assert.ok(Math.abs(counts.abort / rounds - 0.5) < 0.02, `${counts.abort}`);
  assert.ok(Math.abs(counts.both / rounds - 0.05) < 0.01, `${counts.both}`);
});

test("0 % never happens and 100 % always, whatever is drawn", () => {
  const none = new Faults({ delay: { ms: 1, percent: 0 }, abort: { status: 500, percent: 0 } });
  assert.deepEqual(none.draw(requestWith(), always), { delayMs: 0, status: 0, grpcStatus: -1 });
  const all = new Faults({ delay: { ms: 1, percent: 100 }, abort: { status: 500, percent: 100 } });
  assert.deepEqual(all.draw(requestWith(), never), { delayMs: 1, status: 500, grpcStatus: -1 });
});

test("a request names its own delay and status where the rule has them", () => {
  const head = requestWith([
    "X-Envoy-Fault-Delay-Request: 120",
    "x-envoy-fault-abort-request: 418",
  ]);
  assert.deepEqual(new Faults(BOTH).draw(head, always), {
    delayMs: 120,
    status: 418,
    grpcStatus: -1,
  });
  assert.deepEqual(new Faults({}).draw(head, always), { delayMs: 0, status: 0, grpcStatus: -1 });
  const delayOnly = new Faults({ delay: { ms: 9, percent: 100 } });
  assert.deepEqual(delayOnly.draw(head, never), { delayMs: 120, status: 0, grpcStatus: -1 });
});

test("a request lowers the share and never raises it", () => {
  const withShare = (percent: number) =>
    requestWith([`x-envoy-fault-abort-request-percentage: ${percent}`]);
  const faults = new Faults({ abort: { status: 503, percent: 50 } });
  assert.equal(faults.draw(withShare(100), () => 0.49).status, 503);
  assert.equal(faults.draw(withShare(100), () => 0.51).status, 0);
  assert.equal(faults.draw(withShare(10), () => 0.11).status, 0);
  assert.equal(faults.draw(withShare(0), always).status, 0);
});

test("a value out of range is ignored, and leaves the rule as it is", () => {
  const bad = ["", "-1", "99", "600", "1e2", "abc", "503;", "9".repeat(400)];
  const faults = new Faults({ abort: { status: 503, percent: 100 } });
  for (const value of bad) {
    const head = requestWith([`x-envoy-fault-abort-request: ${value}`]);
    assert.equal(faults.draw(head, never).status, 503, value);
  }
  const delay = new Faults({ delay: { ms: 7, percent: 100 } });
  for (const value of ["-5", "1.5", "0x10", "9".repeat(10)]) {
    const head = requestWith([`x-envoy-fault-delay-request: ${value}`]);
    assert.equal(delay.draw(head, never).delayMs, 7, value);
  }
});

test("an abort is a failure with a code of its own", () => {
  const error = abortError({ status: 418, grpcStatus: -1 });
  assert.equal(error.code, "FAULT_INJECTED");
  assert.match(error.message, /status 418$/);
  assert.deepEqual(error.answer, { status: 418 });
});

test("an abort by a status of gRPC has HTTP's for whatever else it hits", () => {
  const faults = new Faults({ abort: { status: 503, grpcStatus: 14, percent: 100 } });
  const drawn = faults.draw(requestWith(), never);
  assert.deepEqual(drawn, { delayMs: 0, status: 503, grpcStatus: 14 });
  const error = abortError(drawn);
  assert.match(error.message, /status 14 of gRPC$/);
  assert.deepEqual(error.answer, { status: 503, grpcStatus: 14 });
});

test("a request names a status of gRPC, and one of HTTP goes before it", () => {
  const faults = new Faults(BOTH);
  const draw = (...lines: string[]) => {
    const { status, grpcStatus } = faults.draw(requestWith(lines), always);
    return [status, grpcStatus];
  };
  assert.deepEqual(draw("x-envoy-fault-abort-grpc-request: 7"), [403, 7]);
  assert.deepEqual(draw("x-envoy-fault-abort-grpc-request: 17"), [503, -1]);
  assert.deepEqual(draw("x-envoy-fault-abort-grpc-request: NOT_FOUND"), [503, -1]);
  assert.deepEqual(
    draw("x-envoy-fault-abort-grpc-request: 7", "x-envoy-fault-abort-request: 418"),
    [418, -1],
  );
  const named = new Faults({ abort: { status: 503, grpcStatus: 14, percent: 100 } });
  const other = named.draw(requestWith(["x-envoy-fault-abort-request: 418"]), never);
  assert.deepEqual([other.status, other.grpcStatus], [418, -1]);
});
