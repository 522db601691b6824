import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type GatheredWriter, GatheredWrites } from "../../src/http/gathered-writes.ts";

/** An event loop whose turns end when the test says so, and a clock. */
function stage() {
  const deferred: (() => void)[] = [];
  const clock = { nowMs: 0 };
  const writes = new GatheredWrites(
    () => clock.nowMs,
    (action) => deferred.push(action),
  );
  const flushed: string[] = [];
  const writer = (name: string, isFull = false): GatheredWriter => ({
    isFull,
    onGathered: () => flushed.push(name),
  });
  const endTurn = () => {
    for (const action of deferred.splice(0)) action();
    return flushed.splice(0);
  };
  return { writes, writer, endTurn, clock, deferred };
}

describe("gathered writes", () => {
  it("of one frame alone leave with its turn", () => {
    const { writes, writer, endTurn, deferred } = stage();
    writes.add(writer("a"));
    assert.deepEqual(endTurn(), ["a"]);
    assert.equal(deferred.length, 0, "and nothing is waited for");
  });

  it("wait for as long as turns bring more, and leave with the first that does not", () => {
    const { writes, writer, endTurn } = stage();
    writes.add(writer("a"));
    writes.add(writer("b"));
    assert.deepEqual(endTurn(), []);
    writes.note();
    assert.deepEqual(endTurn(), []);
    assert.deepEqual(endTurn(), ["a", "b"], "a turn without news");
    writes.add(writer("c"));
    assert.deepEqual(endTurn(), ["c"], "what was noted before means nothing");
  });

  it("wait for five turns at most", () => {
    const { writes, writer, endTurn } = stage();
    writes.add(writer("a"));
    for (let turns = 1; turns < 5; turns++) {
      writes.note();
      assert.deepEqual(endTurn(), [], `turn ${turns}`);
    }
    writes.note();
    assert.deepEqual(endTurn(), ["a"]);
  });

  it("wait for half a millisecond at most", () => {
    const { writes, writer, endTurn, clock } = stage();
    writes.add(writer("a"));
    writes.note();
    clock.nowMs = 0.5;
    assert.deepEqual(endTurn(), ["a"]);
  });

  it("that are full leave with their turn, and others go on waiting", () => {
    const { writes, writer, endTurn } = stage();
    writes.add(writer("full", true));
    writes.add(writer("a"));
    assert.deepEqual(endTurn(), ["full"]);
    assert.deepEqual(endTurn(), ["a"]);
  });

  it("take on what is written while they are made", () => {
    const { writes, writer, endTurn } = stage();
    writes.add({ isFull: false, onGathered: () => writes.add(writer("answer")) });
    assert.deepEqual(endTurn(), []);
    assert.deepEqual(endTurn(), ["answer"]);
  });
});
