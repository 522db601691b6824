import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../../src/core/clock.ts";
import { Deadlines } from "../../../src/core/deadlines.ts";
import type { DownstreamHandler } from "../../../src/http/downstream.ts";
import { KnownRequests } from "../../../src/http/h2/known-heads.ts";
import { StreamDownstream } from "../../../src/http/h2/stream-downstream.ts";

const LIMITS = {
  ...{ headBytes: 1_000, requestLineBytes: 1_000, headerCount: 10 },
  ...{ headMs: 1_000, idleMs: 1_000, streamIdleMs: 1_000 },
};

const HANDLER: DownstreamHandler = {
  onRequest: () => assert.fail("a request"),
  onPreface: () => assert.fail("a preface"),
  onRequestBody: () => assert.fail("a body"),
  onRequestError: () => assert.fail("an error"),
  onClientFin: () => assert.fail("an end"),
  onClientClose: () => assert.fail("a close"),
  onAnswerDeadline: () => assert.fail("a time limit of nothing"),
};

test("one that serves no stream is given up at its time, and its request is asked for nothing", () => {
  const clock = new FakeClock(1_000);
  const deadlines = new Deadlines(clock, 3_600_000);
  const unused: StreamDownstream[] = [];
  const owner = {
    knownRequests: new KnownRequests(),
    onFree: () => assert.fail("it was free before"),
    onUnused: (one: StreamDownstream) => {
      unused.push(one);
      one.drop();
    },
  };
  const downstream = new StreamDownstream(HANDLER, owner, null, {
    limits: LIMITS,
    clock,
    deadlines,
  });
  downstream.deadlineMs = 1_500;
  clock.advance(499);
  deadlines.tick();
  assert.deepEqual(unused, []);
  clock.advance(1);
  deadlines.tick();
  assert.deepEqual(unused, [downstream]);
  assert.equal(deadlines.size, 0);
  deadlines.close();
});
