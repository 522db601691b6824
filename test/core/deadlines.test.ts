import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeClock } from "../../src/core/clock.ts";
import { Deadlines, deadlineAfter, type Expirable } from "../../src/core/deadlines.ts";

class Item implements Expirable {
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly expiredMs: number[] = [];
  andThen: (nowMs: number) => void = () => undefined;

  onDeadline(nowMs: number): void {
    this.expiredMs.push(nowMs);
    this.andThen(nowMs);
  }
}

function lab(): { clock: FakeClock; deadlines: Deadlines } {
  const clock = new FakeClock(1_000);
  return { clock, deadlines: new Deadlines(clock, 3_600_000) };
}

describe("deadlines", () => {
  it("expire each item once, when its moment has come and not before", () => {
    const { clock, deadlines } = lab();
    const [soon, late, never] = [new Item(), new Item(), new Item()];
    for (const item of [soon, late, never]) deadlines.add(item);
    soon.deadlineMs = 1_100;
    late.deadlineMs = 1_200;
    clock.advance(99);
    deadlines.tick();
    assert.deepEqual(soon.expiredMs, []);
    clock.advance(1);
    deadlines.tick();
    deadlines.tick();
    clock.advance(500);
    deadlines.tick();
    assert.deepEqual([soon.expiredMs, late.expiredMs, never.expiredMs], [[1_100], [1_600], []]);
    assert.equal(soon.deadlineMs, Number.POSITIVE_INFINITY);
    deadlines.close();
  });

  it("take a new limit that is set while the old one expires", () => {
    const { clock, deadlines } = lab();
    const item = new Item();
    item.deadlineMs = 1_010;
    item.andThen = (nowMs) => {
      item.deadlineMs = nowMs + 10;
    };
    deadlines.add(item);
    for (let step = 0; step < 4; step += 1) {
      clock.advance(10);
      deadlines.tick();
    }
    assert.deepEqual(item.expiredMs, [1_010, 1_020, 1_030, 1_040]);
    deadlines.close();
  });

  it("bear that items come and go while others expire", () => {
    const { clock, deadlines } = lab();
    const [first, second, third] = [new Item(), new Item(), new Item()];
    for (const item of [first, second]) {
      item.deadlineMs = 1_010;
      deadlines.add(item);
    }
    third.deadlineMs = 1_500;
    first.andThen = () => {
      deadlines.delete(first);
      deadlines.delete(second);
      deadlines.add(third);
    };
    clock.advance(10);
    deadlines.tick();
    assert.deepEqual(second.expiredMs, [], "it was taken out before its turn");
    assert.equal(deadlines.size, 1);
    clock.advance(1_000);
    deadlines.tick();
    assert.deepEqual(third.expiredMs, [2_010]);
    deadlines.close();
    assert.equal(deadlines.size, 0);
  });

  it("tick by themselves, and do not keep the process alive", async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock, 1);
    const { promise, resolve } = Promise.withResolvers<number>();
    const item = new Item();
    item.deadlineMs = 5;
    item.andThen = resolve;
    deadlines.add(item);
    clock.advance(6);
    // The interval is not referenced; this timer is.
    const keepAlive = setTimeout(() => undefined, 5_000);
    assert.equal(await promise, 6);
    clearTimeout(keepAlive);
    deadlines.close();
  });

  it("are none where the limit is 0", () => {
    assert.equal(deadlineAfter(10, 0), Number.POSITIVE_INFINITY);
    assert.equal(deadlineAfter(10, 5), 15);
  });
});
