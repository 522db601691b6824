import assert from "node:assert/strict";
import test from "node:test";
import { AccessLog } from "../../../src/telemetry/access-log/access-log.ts";
import type { Chosen } from "../../../src/telemetry/access-log/log-chooser.ts";
import { makeFacts } from "../make-facts.ts";

function logOf(format: string, chosen: Chosen, room = 10) {
  const lines: string[] = [];
  const writer = { push: (line: string) => lines.push(line) <= room };
  const chooser = { choose: () => chosen };
  const log = new AccessLog({ format, host: "h", chooser, writer, wall: () => 0 });
  return { log, lines };
}

test("a full writer drops the line and says so, and a line that is not wanted is none", () => {
  const { log, lines } = logOf("", "text", 1);
  assert.equal(log.write(makeFacts()), true);
  assert.equal(log.write(makeFacts()), false);
  assert.match(lines[0] ?? "", /^1969-12-31T23:59:59.998Z 200 - /);
  const off = logOf("", "off");
  assert.equal(off.log.write(makeFacts()), null);
  assert.deepEqual(off.lines, []);
});

test("a format is for lines of its kind, and those of the other stay our own", () => {
  for (const [format, chosen, wanted] of [
    ["%RESPONSE_CODE%", "text", /^200$/],
    ["%RESPONSE_CODE%", "json", /^\{"time":/],
    ['{"code":"%RESPONSE_CODE%"}', "json", /^\{"code":200\}$/],
    ['{"code":"%RESPONSE_CODE%"}', "text", /^1969-/],
    ["istio", "text", /^\[1969-/],
    ["istio", "json", /^\{"start_time":"1969/],
  ] as const) {
    const { log, lines } = logOf(format, chosen);
    log.write(makeFacts());
    assert.match(lines[0] ?? "", wanted, `${format} ${chosen}`);
  }
  assert.deepEqual(
    [logOf("", "json").log.needsDetails, logOf("istio", "off").log.needsDetails],
    [false, true],
  );
});
