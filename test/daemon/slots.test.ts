import assert from "node:assert/strict";
import test from "node:test";
import { SlotPool } from "../../daemon/slots.ts";
import { FakeClock } from "../../src/core/clock.ts";

function pool(size: number) {
  const busy = new Set<number>();
  const resets: number[] = [];
  const clock = new FakeClock();
  const state = {
    busy: (slot: number) => busy.has(slot),
    reset: (slot: number) => {
      resets.push(slot);
    },
  };
  return { slots: new SlotPool(size, state, clock), busy, resets, clock };
}

test("hands out every slot once, reset, and then none", () => {
  const { slots, resets } = pool(3);
  assert.deepEqual([slots.take(), slots.take(), slots.take()].sort(), [0, 1, 2]);
  assert.deepEqual(resets, [0, 1, 2]);
  assert.equal(slots.take(), null);
  assert.equal(slots.available, 0);
});

test("keeps a slot in quarantine until its time has passed", () => {
  const { slots, clock } = pool(1);
  const slot = slots.take();
  assert.equal(slot, 0);
  slots.give(0);
  clock.advance(9_999);
  assert.equal(slots.sweep(), 0);
  assert.equal(slots.take(), null);
  clock.advance(1);
  assert.equal(slots.sweep(), 1);
  assert.equal(slots.take(), 0);
});

test("keeps a slot in quarantine while anything still counts on it, and frees the others", () => {
  const { slots, clock, busy } = pool(2);
  slots.take();
  slots.take();
  slots.give(0);
  slots.give(1);
  busy.add(0);
  clock.advance(60_000);
  assert.equal(slots.sweep(), 1);
  assert.equal(slots.quarantined, 1);
  assert.equal(slots.take(), 1);
  assert.equal(slots.take(), null);
  busy.delete(0);
  assert.equal(slots.sweep(), 1);
  assert.equal(slots.take(), 0);
});
