import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { LinkEvent } from "../../../daemon/address-lifetime/link-event.ts";
import { LinkMonitor } from "../../../daemon/address-lifetime/link-monitor.ts";
import { HandTimers } from "../../helpers/hand-timers.ts";
import { until } from "../../helpers/until.ts";
import { tempFolder } from "../../registry/setup.ts";
import { memoryLog } from "../fixtures.ts";

test("the monitor is started again when it ends, with growing pauses, and tells of the gap", async (t) => {
  const script = join(await tempFolder(t), "ip");
  const said = 'echo "[LINK]Deleted $#: x@NONE: <UP>"; echo "no buffer" >&2; exit 1';
  await writeFile(script, said);
  const [time, { log, lines }] = [new HandTimers(), memoryLog()];
  const events: LinkEvent[] = [];
  let gaps = 0;
  const monitor = new LinkMonitor({
    ...{ command: ["sh", script], timers: { after: time.start }, log },
    onEvent: (event) => events.push(event),
    onGap: () => {
      gaps++;
    },
  });
  t.after(() => monitor.stop());
  monitor.start();
  for (const [index, pauseMs] of [100, 200, 400].entries()) {
    await until(() => events.length === index + 1 && time.size === 1 && time.nextMs === pauseMs);
    assert.equal(gaps, index + 1);
    time.advance(pauseMs);
  }
  assert.equal(lines.length, 1, "said once");
  assert.deepEqual(events[0], { kind: "link-gone", index: 6 }, "six arguments were given");
  assert.equal(lines[0]!.facts["reason"], "no buffer");
  // One that stays is taken to have subscribed after a while.
  await writeFile(script, "exec sleep 60");
  await until(() => time.size === 1 && time.nextMs === 800);
  time.advance(800);
  await until(() => time.size === 1 && time.nextMs === 500);
  const before = gaps;
  time.advance(500);
  assert.equal(gaps, before + 1);
  monitor.stop();
  assert.equal(time.size, 0);
});

test("a program that is not there is an error that is told, and tried again", async (t) => {
  const [time, { log, lines }] = [new HandTimers(), memoryLog()];
  const monitor = new LinkMonitor({
    ...{ command: ["/nowhere/ip"], timers: { after: time.start }, log },
    onEvent: () => assert.fail(),
    onGap: () => {},
  });
  t.after(() => monitor.stop());
  monitor.start();
  await until(() => lines.length === 1 && time.nextMs === 100);
  assert.match(String(lines[0]!.facts["reason"]), /ENOENT/);
});
