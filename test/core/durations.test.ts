import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LONGEST_TIMER_MS, singleDuration, sumOfParts } from "../../src/core/durations.ts";

describe("durations", () => {
  const PART = /(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h|d|week)/g;

  it("adds up the parts of a text, in every unit", () => {
    assert.equal(sumOfParts("1d2h3m4s5ms", PART), 93_784_005);
    assert.equal(sumOfParts("1.5h", PART), 5_400_000);
    assert.equal(sumOfParts("250us", PART), 0.25);
    // The micro sign and the Greek letter, both of which Go takes.
    assert.equal(sumOfParts("500\u00b5s500\u03bcs", PART), 1);
    assert.equal(sumOfParts("500000ns", PART), 0.5);
  });

  it("leaves rounding to its callers", () => {
    assert.equal(sumOfParts("1.25ms0.25ms", PART), 1.5);
  });

  it("is the same when it is asked again with the same expression", () => {
    assert.equal(sumOfParts("10s", PART), sumOfParts("10s", PART));
    assert.equal(PART.lastIndex, 0);
  });

  it("refuses a text of which something is no part", () => {
    for (const text of ["10", "s", "-1s", " 1s", "1s ", "1s 2s", "1s,2s", "1.s", "1sx", "x1s"]) {
      assert.equal(sumOfParts(text, PART), null, text);
    }
  });

  it("refuses units that it does not know, and sums that are no number", () => {
    assert.equal(sumOfParts("1week", PART), null);
    assert.equal(sumOfParts(`${"9".repeat(400)}s`, PART), null);
  });

  it("takes the empty text for 0: there is nothing to add up", () => {
    assert.equal(sumOfParts("", PART), 0);
  });
});

describe("a duration of one part", () => {
  it("is a whole number and a unit", () => {
    const known = { "0s": 0, "7ms": 7, "10s": 10_000, "2m": 120_000, "3h": 10_800_000 };
    for (const [text, ms] of Object.entries(known)) assert.equal(singleDuration(text), ms, text);
    assert.equal(singleDuration("1d"), 86_400_000);
    assert.equal(singleDuration("999999999ms"), 999_999_999);
  });

  it("is nothing else", () => {
    const wrong = ["", "10", "s", "1m30s", "1.5s", "1us", "1ns", "+1s", "-1s", "1s\n", " 1s", "1S"];
    for (const text of [...wrong, "1000000000s"]) assert.equal(singleDuration(text), null, text);
  });
});

describe("the longest timer", () => {
  it("is one that Node.js still takes as it is", (context) => {
    const warned = context.mock.method(process, "emitWarning", () => undefined);
    clearTimeout(setTimeout(() => undefined, LONGEST_TIMER_MS));
    assert.equal(warned.mock.callCount(), 0);
    clearTimeout(setTimeout(() => undefined, LONGEST_TIMER_MS + 1));
    assert.equal(warned.mock.callCount(), 1);
  });
});
