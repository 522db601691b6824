import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import { DeadlineHeap } from "../../../../src/proxy/upstream/balance/deadline-heap.ts";

test("always has the earliest deadline on top, the lower index among equal ones", () => {
  const random = seeded(5);
  const deadlines = Float64Array.from({ length: 37 }, () => Math.floor(random() * 10));
  const expected = Float64Array.from(deadlines);
  const heap = new DeadlineHeap(deadlines);
  for (let turn = 0; turn < 2_000; turn++) {
    const earliest = expected.indexOf(Math.min(...expected));
    assert.equal(heap.top(), earliest);
    const by = Math.floor(random() * 5);
    heap.postpone(by);
    expected[earliest] = expected[earliest]! + by;
  }
});

test("holds a single index", () => {
  const heap = new DeadlineHeap(Float64Array.of(4));
  heap.postpone(1);
  assert.equal(heap.top(), 0);
});
