import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fdWriter } from "../../src/telemetry/fd-writer.ts";
import { until } from "../helpers/until.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "hostmesh-fd-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function write(fd: number, text: string): Promise<Error | null> {
  return new Promise((resolve) => fdWriter(fd)(Buffer.from(text), resolve));
}

test("a file takes a batch whole", async (t) => {
  const file = join(folder(t), "log");
  const fd = openSync(file, "a");
  t.after(() => closeSync(fd));
  assert.equal(await write(fd, "one\ntwo\n"), null);
  assert.equal(await write(fd, "three\n"), null);
  assert.equal(readFileSync(file, "utf8"), "one\ntwo\nthree\n");
});

test("several writers fill one pipe without mixing lines, and a slow reader does not stop the event loop", async () => {
  // Two threads would behave alike: the pieces of both are written by the pool of libuv.
  const script = `
    import { fdWriter } from ${JSON.stringify(new URL("../../src/telemetry/fd-writer.ts", import.meta.url).href)};
    const text = (mark) => Array.from({ length: 2000 }, () => mark.repeat(99) + "\\n").join("");
    let ticks = 0;
    const timer = setInterval(() => { ticks += 1; }, 1);
    const write = (mark) => new Promise((resolve) => fdWriter(1)(Buffer.from(text(mark)), resolve));
    const results = await Promise.all(["a", "b", "c"].map(write));
    clearInterval(timer);
    process.stderr.write(JSON.stringify({ results, ticks }));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => errors.push(chunk));
  // The pipe is full long before anybody reads from it.
  child.stdout.on("data", (chunk: Buffer) => {
    output.push(chunk);
    child.stdout.pause();
    setImmediate(() => child.stdout.resume());
  });
  await new Promise((resolve) => child.on("close", resolve));
  const lines = Buffer.concat(output).toString().trimEnd().split("\n");
  assert.equal(lines.length, 6000, Buffer.concat(errors).toString());
  for (const line of lines) assert.match(line, /^(a{99}|b{99}|c{99})$/);
  const { results, ticks } = JSON.parse(Buffer.concat(errors).toString());
  assert.deepEqual(results, [null, null, null]);
  assert.ok(ticks > 0, "the event loop stood still");
});

test("a reader that is gone is an error of the batch, not of the process", async (t) => {
  const file = join(folder(t), "closed");
  const fd = openSync(file, "a");
  const writer = fdWriter(fd);
  closeSync(fd);
  const error = await new Promise<Error | null>((resolve) => writer(Buffer.from("x\n"), resolve));
  assert.match(String(error), /EBADF/);
});

test("a full pipe that does not block is written to as soon as there is room", async (t) => {
  const pipe = join(folder(t), "pipe");
  execFileSync("mkfifo", [pipe]);
  const fd = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  t.after(() => closeSync(fd));
  const text = `${"x".repeat(99)}\n`.repeat(2_000);
  let isDone = false;
  const written = write(fd, text).then((error) => {
    isDone = true;
    return error;
  });
  const buffer = Buffer.alloc(65_536);
  let got = 0;
  // 200 kB do not fit into a pipe of 64 KiB: the writer must come back several times.
  await until(
    () => {
      try {
        got += readSync(fd, buffer);
      } catch (reason) {
        if (!String(reason).includes("EAGAIN")) throw reason;
      }
      return isDone && got === text.length;
    },
    { what: "the whole text" },
  );
  assert.equal(await written, null);
});
