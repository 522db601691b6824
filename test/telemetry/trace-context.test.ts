import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isSampledIn,
  parseTraceparent,
  TraceContext,
  traceIdOf,
} from "../../src/telemetry/trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const sink = new Uint8Array(55);

/** Fills with 1, 2, 3 ... */
function counting(): (buffer: Uint8Array) => void {
  return (buffer) => {
    for (let index = 0; index < buffer.length; index += 1) buffer[index] = (index + 1) & 0xff;
  };
}

test("a valid traceparent is continued in the same trace, with its flags and a span id of our own", () => {
  const trace = new TraceContext(counting());
  assert.equal(trace.continueTrace(`00-${TRACE}-${SPAN}-01`), `00-${TRACE}-0102030405060708-01`);
  assert.equal(trace.continueTrace(`00-${TRACE}-${SPAN}-00`), `00-${TRACE}-090a0b0c0d0e0f10-00`);
});

test("flags that are not known are set to zero, sampled and random are kept", () => {
  const trace = new TraceContext(counting());
  assert.match(trace.continueTrace(`00-${TRACE}-${SPAN}-ff`) ?? "", /-03$/);
  assert.match(trace.continueTrace(`00-${TRACE}-${SPAN}-0c`) ?? "", /-00$/);
});

test("a future version is read as far as it is known and sent on as version 00", () => {
  const trace = new TraceContext(counting());
  for (const tail of ["", "-", "-more"]) {
    const next = trace.continueTrace(`cc-${TRACE}-${SPAN}-01${tail}`);
    assert.match(next ?? "", new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
  }
});

test("everything that the Recommendation calls invalid is refused", () => {
  const bad = [
    "",
    "00",
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-0`,
    `00-${TRACE}-${SPAN}-011`,
    `cc-${TRACE}-${SPAN}-01x`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN.toUpperCase()}-01`,
    `0G-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-0G`,
    `00-${TRACE}-${SPAN}-G0`,
    `00_${TRACE}-${SPAN}-01`,
    `00-${TRACE}_${SPAN}-01`,
    `00-${TRACE}-${SPAN}_01`,
    ` 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01 `,
    `00-${TRACE.slice(1)}g-${SPAN}-01`,
    `00-${TRACE.slice(1)}\u{131}-${SPAN}-01`,
    `00-${TRACE.slice(1)}\u00b0-${SPAN}-01`,
    `.0-${TRACE}-${SPAN}-01`,
  ];
  for (const header of bad) {
    assert.equal(parseTraceparent(header, sink), null, JSON.stringify(header));
    assert.equal(new TraceContext().continueTrace(header), null);
  }
});

test("a refused header leaves nothing behind in the next trace", () => {
  const trace = new TraceContext(counting());
  assert.equal(trace.continueTrace(`00-${"e".repeat(32)}-${"0".repeat(16)}-01`), null);
  const made = trace.newTrace(false);
  assert.equal(made, "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-02");
});

test("a trace that begins here is valid and says whether it is sampled", () => {
  const trace = new TraceContext();
  assert.equal(parseTraceparent(trace.newTrace(true), sink), 0x03);
  assert.equal(parseTraceparent(trace.newTrace(false), sink), 0x02);
  assert.equal(traceIdOf(`00-${TRACE}-${SPAN}-01`), TRACE);
  assert.equal(traceIdOf(""), "");
});

test("an id of zeroes only is never made", () => {
  const trace = new TraceContext((buffer) => buffer.fill(0));
  assert.equal(trace.newTrace(false), `00-${"0".repeat(31)}1-${"0".repeat(15)}1-02`);
});

test("request ids are version 4 UUIDs and do not repeat over many fillings of the pool", () => {
  const trace = new TraceContext();
  const seen = new Set<string>();
  for (let round = 0; round < 20_000; round += 1) {
    const id = trace.newRequestId();
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    seen.add(id);
  }
  assert.equal(seen.size, 20_000);
});

test("random bytes are used once each, and the pool is filled before it runs out", () => {
  let fills = 0;
  const trace = new TraceContext((buffer) => {
    fills += 1;
    counting()(buffer);
  });
  // 24 bytes for each trace: 170 fit into the 4,096 of the pool.
  for (let round = 0; round < 170; round += 1) trace.newTrace(false);
  assert.equal(fills, 1);
  trace.newTrace(false);
  assert.equal(fills, 2);
});

test("a trace about which nobody has decided is sampled by the random part of its id, everywhere alike", () => {
  for (const rate of [0, 0.01, 0.5, 1]) {
    const trace = new TraceContext(undefined, rate);
    let sampled = 0;
    for (let round = 0; round < 4_000; round += 1) {
      const made = trace.newTrace();
      const isSampled = made.endsWith("-03");
      sampled += Number(isSampled);
      assert.equal(trace.samples(traceIdOf(made)), isSampled);
    }
    const expected = 4_000 * rate;
    assert.ok(
      Math.abs(sampled - expected) <= 400 * Math.sqrt(rate * (1 - rate)),
      `${sampled} at ${rate}`,
    );
  }
});

test("the lines of a new request say whether it is sampled", () => {
  assert.equal(isSampledIn(new TraceContext(undefined, 1).newLines()), true);
  assert.equal(isSampledIn(new TraceContext(undefined, 0).newLines()), false);
  assert.equal(isSampledIn(new TraceContext(undefined, 0).newLines(true)), true);
});

test("whoever records no span leaves the caller's in its place, in version 00 and with the flags that are known", () => {
  const trace = new TraceContext(counting());
  assert.equal(trace.continueTrace(`00-${TRACE}-${SPAN}-01`, true), `00-${TRACE}-${SPAN}-01`);
  assert.equal(trace.continueTrace(`cc-${TRACE}-${SPAN}-fd-more`, true), `00-${TRACE}-${SPAN}-01`);
  assert.equal(trace.continueTrace(`00-${TRACE}-${"0".repeat(16)}-01`, true), null);
  assert.equal(trace.newSpanId(), "0102030405060708");
});
