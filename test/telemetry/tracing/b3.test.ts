import assert from "node:assert/strict";
import { test } from "node:test";
import { multiLines, readB3, singleLine } from "../../../src/telemetry/tracing/b3.ts";

const TRACE = "80f198ee56343ba864fe8b2a57d3eff7";
const SPAN = "e457b5a2e4d86bd1";

test("the single field has a context, a decision, and may have a parent", () => {
  const read = (b3: string) => readB3({ b3 });
  const context = { traceId: TRACE, spanId: SPAN, isShort: false };
  assert.deepEqual(read(`${TRACE}-${SPAN}`), { ...context, decision: null });
  assert.deepEqual(read(`${TRACE}-${SPAN}-0`), { ...context, decision: "deny" });
  assert.deepEqual(read(`${TRACE}-${SPAN}-1-${SPAN}`), { ...context, decision: "accept" });
  assert.deepEqual(read(`${TRACE.toUpperCase()}-${SPAN}-d`), { ...context, decision: "debug" });
  const none = { traceId: "", spanId: "", isShort: false };
  assert.deepEqual(read("0"), { ...none, decision: "deny" });
  assert.deepEqual(read("1"), { ...none, decision: "accept" });
  assert.deepEqual(read("d"), { ...none, decision: "debug" });
});

test("a trace id of 16 digits is made longer with zeroes, and is known to be short", () => {
  const short = TRACE.slice(16);
  const wanted = {
    traceId: `${"0".repeat(16)}${short}`,
    spanId: SPAN,
    decision: null,
    isShort: true,
  };
  assert.deepEqual(readB3({ b3: `${short}-${SPAN}` }), wanted);
  assert.deepEqual(readB3({ "x-b3-traceid": short, "x-b3-spanid": SPAN }), wanted);
});

test("the fields of which each has a part say the same, in the spellings that tracers have had", () => {
  const ids = { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN };
  const decision = (sampled: string, flags = "") =>
    readB3({ ...ids, "x-b3-sampled": sampled, "x-b3-flags": flags })?.decision;
  assert.deepEqual(
    ["1", "true", "0", "false", "junk", "d", ""].map((text) => decision(text)),
    [...["accept", "accept", "deny", "deny"], ...[null, null, null]],
  );
  assert.equal(decision("0", "1"), "debug");
  assert.equal(decision("1", "3"), "accept");
  assert.deepEqual(readB3({ "x-b3-sampled": "0" })?.traceId, "");
});

test("nothing that is not valid is read, and the single field goes before the others", () => {
  const other = { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN };
  for (const b3 of [
    "",
    "2",
    "-",
    TRACE,
    `${TRACE}-`,
    `${TRACE}-${SPAN}-`,
    `${TRACE}-${SPAN}-2`,
    `${TRACE}-${SPAN}-1-`,
    `${TRACE}-${SPAN}-1-${SPAN}-`,
    `${TRACE}-${SPAN}, ${TRACE}-${SPAN}`,
    `${TRACE.slice(1)}-${SPAN}`,
    `${TRACE}-${SPAN.slice(1)}g`,
    `${"0".repeat(32)}-${SPAN}`,
    `${TRACE}-${"0".repeat(16)}`,
    `${"a".repeat(60_000)}`,
    `\xff${TRACE.slice(1)}-${SPAN}`,
  ]) {
    assert.equal(readB3({ b3 }), null, JSON.stringify(b3.slice(0, 80)));
    assert.equal(readB3({ b3, ...other })?.traceId, TRACE, "the others stand");
  }
  assert.equal(readB3({ b3: `${"1".repeat(32)}-${SPAN}`, ...other })?.traceId, "1".repeat(32));
  assert.equal(readB3({ "x-b3-traceid": TRACE }), null);
  assert.equal(readB3({ "x-b3-spanid": SPAN, "x-b3-traceid": "a".repeat(60_000) }), null);
  assert.equal(readB3({}), null);
});

test("what is written is read back", () => {
  for (const decision of ["accept", "debug", "deny"] as const) {
    const context = { traceId: TRACE, spanId: SPAN, decision };
    const fields = (lines: string) =>
      Object.fromEntries(
        lines
          .trimEnd()
          .split("\r\n")
          .map((line) => line.toLowerCase().split(": ") as [string, string]),
      );
    assert.deepEqual(readB3(fields(singleLine(context))), { ...context, isShort: false });
    assert.deepEqual(readB3(fields(multiLines(context))), { ...context, isShort: false });
  }
});
