import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const ALLOWED_BYTES = 64 * MIB;

const running: ChildProcess[] = [];
after(() => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a program of `test/helpers/programs`; resolves with the first thing that it prints. */
async function start(
  name: string,
  ...args: string[]
): Promise<{ child: ChildProcess; line: string }> {
  const path = fileURLToPath(new URL(`../helpers/programs/${name}.ts`, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  running.push(child);
  const [chunk] = (await once(child.stdout, "data")) as [Buffer];
  return { child, line: chunk.toString().trim() };
}

/** Resident memory of a process, as the kernel counts it. */
function rssBytes(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
  return pages * 4_096;
}

describe("a body of 1 GiB with a slow reader", { skip: process.platform !== "linux" }, () => {
  let pid = 0;
  let port = "";
  let restBytes = 0;

  before(async () => {
    const upstream = await start("streaming-upstream");
    const proxy = await start("streaming-proxy", upstream.line);
    pid = proxy.child.pid ?? 0;
    port = proxy.line;
    const small = (direction: string) =>
      start("streaming-client", port, direction, String(32 * MIB), "length");
    await Promise.all([small("down"), small("up")]);
    restBytes = rssBytes(pid);
  });

  for (const [down, up] of [
    ["length", "chunked"],
    ["chunked", "length"],
  ] as const) {
    it(`goes down (${down}) and up (${up}) whole, and in constant memory`, async (t) => {
      let mostBytes = 0;
      const watch = setInterval(() => {
        mostBytes = Math.max(mostBytes, rssBytes(pid));
      }, 20);
      const results = await Promise.all([
        start("streaming-client", port, "down", String(GIB), down),
        start("streaming-client", port, "up", String(GIB), up),
      ]);
      clearInterval(watch);
      for (const { line } of results) assert.equal(line, `received ${GIB}`);
      const grownBytes = mostBytes - restBytes;
      t.diagnostic(`${Math.round(grownBytes / MIB)} MiB more than before`);
      assert.ok(grownBytes < ALLOWED_BYTES, `${Math.round(grownBytes / MIB)} MiB more`);
    });
  }
});
