import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog, describeError, isLogLevel, type LogLevel } from "../../src/telemetry/log.ts";

function setUp(format: "json" | "text", level: LogLevel = "info") {
  const lines: string[] = [];
  const log = createLog({ level, format, write: (line) => lines.push(line), wall: () => 0 });
  return { log, lines };
}

test("a text entry is one line of time, level, message and fields", () => {
  const { log, lines } = setUp("text");
  log.warn("registry is gone", {
    url: "http://r:1",
    attempt: 3,
    note: "two words",
    none: undefined,
  });
  assert.deepEqual(lines, [
    '1970-01-01T00:00:00.000Z WARN  registry is gone url=http://r:1 attempt=3 note="two words"\n',
  ]);
});

test("a JSON entry keeps numbers and booleans, and writes the rest as text", () => {
  const { log, lines } = setUp("json");
  log.info("up", { port: 15001, ok: true, list: [1, 2], gone: null, big: 10n });
  assert.deepEqual(JSON.parse(lines[0] ?? ""), {
    time: "1970-01-01T00:00:00.000Z",
    level: "info",
    message: "up",
    port: 15001,
    ok: true,
    list: "[1,2]",
    gone: null,
    big: "10",
  });
});

test("entries below the level are not written, and the level can change at any time, for children too", () => {
  const { log, lines } = setUp("text", "warn");
  const child = log.child({ part: "registry" });
  child.info("unseen");
  log.level = "debug";
  assert.equal(log.level, "debug");
  child.debug("seen");
  log.level = "error";
  child.warn("unseen");
  assert.deepEqual(lines, ["1970-01-01T00:00:00.000Z DEBUG seen part=registry\n"]);
});

test("nothing that is logged can start a line of its own", () => {
  for (const format of ["json", "text"] as const) {
    const { log, lines } = setUp(format);
    log.error("a\nb\u2028", { "k\n": "v\r\n\u001b[2J", why: new Error("x\ny") });
    assert.match(lines[0] ?? "", /^[\x20-\x7e]+\n$/);
  }
});

test("an error is written with its code and its causes", () => {
  const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  const error = new Error("registry is gone", { cause });
  assert.equal(describeError(error), "registry is gone: connect ECONNREFUSED [ECONNREFUSED]");
  assert.equal(describeError("text"), "text");
});

test("values that cannot be written do not fail the caller", () => {
  const { log, lines } = setUp("text");
  const ring: { self?: unknown } = {};
  ring.self = ring;
  const looped = new Error("a");
  looped.cause = looped;
  log.info("odd", { ring, looped, symbol: Symbol("s"), run: () => 1 });
  assert.match(lines[0] ?? "", /ring="unprintable .*looped="a: a: a: a: a" symbol=Symbol\(s\)/);
});

test("levels from outside are recognised exactly", () => {
  assert.ok(isLogLevel("debug"));
  for (const other of ["DEBUG", "trace", "", 1, null]) assert.ok(!isLogLevel(other));
});
