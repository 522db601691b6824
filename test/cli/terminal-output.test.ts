import assert from "node:assert/strict";
import { once } from "node:events";
import { Writable } from "node:stream";
import { it } from "node:test";
import { terminalOutput } from "../../src/cli/terminal-output.ts";

/** A pipe whose reader has gone. */
function brokenPipe(): Writable {
  return new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    },
  });
}

it("a command that has something to undo is asked to stop when its reader goes away", async () => {
  const asked = once(process, "SIGTERM");
  terminalOutput(brokenPipe(), {}).line("x");
  await asked;
});

it("a pipe has no width, a terminal has that of its window", () => {
  const stream = brokenPipe();
  assert.equal(terminalOutput(stream, {}).width(), Number.POSITIVE_INFINITY);
  const terminal = Object.assign(brokenPipe(), { isTTY: true, columns: 77 });
  assert.equal(terminalOutput(terminal, {}).width(), 77);
});
