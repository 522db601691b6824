import assert from "node:assert/strict";
import test from "node:test";
import { shutdownSignals } from "../../daemon/shutdown-signals.ts";
import { FakeClock } from "../../src/core/clock.ts";
import { memoryLog } from "./fixtures.ts";

test("a signal that comes twice at once is one wish; later the same one forces", (t) => {
  const clock = new FakeClock(1_000);
  const shutdown = shutdownSignals(memoryLog().log, clock);
  t.after(() => shutdown.dispose());
  process.emit("SIGINT", "SIGINT");
  assert.equal(shutdown.stop.aborted, true);
  clock.advance(20);
  process.emit("SIGINT", "SIGINT");
  assert.equal(shutdown.force.aborted, false, "npm passes on what the terminal has sent already");
  clock.advance(1_000);
  process.emit("SIGINT", "SIGINT");
  assert.equal(shutdown.force.aborted, true);
});
