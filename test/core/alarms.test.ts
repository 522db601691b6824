import assert from "node:assert/strict";
import test from "node:test";
import { Alarms, type Sleeper } from "../../src/core/alarms.ts";
import { FakeClock } from "../../src/core/clock.ts";

/** Timers that are only noted: `delays` is what is set now. */
function setup() {
  const clock = new FakeClock(1_000);
  const delays: number[] = [];
  const alarms = new Alarms(clock, (delayMs) => {
    delays.push(delayMs);
    return () => delays.splice(delays.indexOf(delayMs), 1);
  });
  const rung: string[] = [];
  const sleeper = (name: string, then: () => void = () => undefined): Sleeper => ({
    onAlarm(nowMs) {
      rung.push(`${name} at ${nowMs}`);
      then();
    },
  });
  return { clock, alarms, delays, rung, sleeper };
}

test("wakes whoever is due, and sets its one timer to the earliest of the rest", () => {
  const { clock, alarms, delays, rung, sleeper } = setup();
  alarms.set(sleeper("late"), 1_300);
  alarms.set(sleeper("soon"), 1_020);
  assert.deepEqual(delays, [20], "one timer, for the earliest");
  clock.advance(20);
  alarms.ring();
  assert.deepEqual(rung, ["soon at 1020"]);
  assert.deepEqual(delays, [280]);
  clock.advance(280);
  alarms.ring();
  assert.deepEqual(rung, ["soon at 1020", "late at 1300"]);
  assert.deepEqual([delays, alarms.size], [[], 0]);
});

test("a moment that is taken back or replaced wakes nobody", () => {
  const { clock, alarms, rung, sleeper } = setup();
  const [one, other] = [sleeper("one"), sleeper("other")];
  alarms.set(one, 1_010);
  alarms.set(other, 1_010);
  alarms.set(one, Number.POSITIVE_INFINITY);
  alarms.set(other, 1_050);
  clock.advance(10);
  alarms.ring();
  assert.deepEqual(rung, []);
  clock.advance(40);
  alarms.ring();
  assert.deepEqual(rung, ["other at 1050"]);
});

test("a sleeper may set its next moment while it is woken", () => {
  const { clock, alarms, delays, rung, sleeper } = setup();
  let again = 0;
  const self = sleeper("self", () => {
    again += 1;
    if (again < 3) alarms.set(self, clock.now() + 5);
  });
  alarms.set(self, 1_005);
  for (let round = 0; round < 5; round++) {
    clock.advance(5);
    alarms.ring();
  }
  assert.deepEqual(rung, ["self at 1005", "self at 1010", "self at 1015"]);
  assert.deepEqual(delays, []);
});

test("a fraction of a millisecond is waited for whole, and a moment far away in parts", () => {
  const { alarms, delays, sleeper } = setup();
  alarms.set(sleeper("far"), 1_000 + 2 ** 40);
  assert.deepEqual(delays, [2 ** 31 - 1]);
  alarms.set(sleeper("near"), 1_000.2);
  assert.deepEqual(delays, [1]);
});
