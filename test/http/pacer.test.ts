import assert from "node:assert/strict";
import { test } from "node:test";
import type { Share, TurnWaiter } from "../../src/core/share.ts";
import { Pacer } from "../../src/http/pacer.ts";

/** A share that gives away so much, and remembers who waits. */
function lab(left: number) {
  const state = {
    left,
    full: false,
    spent: 0,
    waiting: [] as TurnWaiter[],
    room: [] as TurnWaiter[],
  };
  const share: Share = {
    tryBegin: () => false,
    spend: (cost) => {
      state.spent += cost;
      state.left -= cost;
      return state.left > 0;
    },
    wait: (one) => void state.waiting.push(one),
    waitForRoom: (one) => void state.room.push(one),
    keep: () => undefined,
    get full() {
      return state.full;
    },
  };
  return { state, share };
}

test("a stream goes on while its source's share lasts, and then waits once", () => {
  const { state, share } = lab(2);
  let goes = 0;
  const pacer = new Pacer(() => {
    goes += 1;
  });
  assert.equal(pacer.pay(share, 65_536, true), false);
  assert.equal(pacer.pay(share, 65_536, true), true);
  assert.equal(pacer.pay(share, 65_536, true), true);
  assert.equal(state.waiting.length, 1);
  assert.equal(pacer.onTurn(), 1.25);
  assert.equal(goes, 1);
  assert.equal(pacer.waits, false);
});

test("the piece that follows a turn is paid for by it", () => {
  const { state, share } = lab(0);
  const pacer = new Pacer(() => undefined);
  pacer.pay(share, 65_536, true);
  const { spent } = state;
  pacer.onTurn();
  state.left = 1;
  assert.equal(pacer.pay(share, 65_536, true), false);
  assert.equal(state.spent, spent);
  pacer.pay(share, 65_536, true);
  assert.equal(state.spent, spent + 1.25);
});

test("a stream that has ended takes no turn", () => {
  const { share } = lab(0);
  const pacer = new Pacer(() => assert.fail("it went on"));
  pacer.pay(share, 1, true);
  pacer.waits = false;
  assert.equal(pacer.onTurn(), 0);
});

test("where the source keeps too much, a stream without a buffer waits for room, and one that has one does not", () => {
  const { state, share } = lab(100);
  state.full = true;
  const pacer = new Pacer(() => undefined);
  assert.equal(pacer.pay(share, 4_096, true), false);
  assert.equal(pacer.pay(share, 4_096, false), true);
  assert.equal(state.room.length, 1);
  assert.equal(state.waiting.length, 0);
});
