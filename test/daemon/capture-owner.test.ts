import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "node:test";
import { CaptureTaken, captureOwner, ownCapture } from "../../daemon/capture-owner.ts";

const skip = process.platform === "linux" ? false : "abstract sockets are Linux's";
const name = `\0hostmesh-test-${process.pid}`;

test("capture has one owner, who can be named, until it lets go", { skip }, async () => {
  assert.equal(await captureOwner(name), null);
  const first = await ownCapture(name);
  const owner = `the daemon with process id ${process.pid}`;
  assert.equal(await captureOwner(name), owner);
  await assert.rejects(ownCapture(name), (error: Error) => {
    assert.ok(error instanceof CaptureTaken);
    assert.equal(error.message, `${owner} captures the connections of this host already`);
    return true;
  });
  await first.release();
  assert.equal(await captureOwner(name), null);
  await (await ownCapture(name)).release();
});

test("an owner that is killed leaves nothing that had to be cleared", { skip }, async () => {
  const script = `require("net").createServer().listen(${JSON.stringify(`${name}-killed`)}, () => console.log("up"))`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  // It has the name but does not say who it is.
  const taken = assert.rejects(ownCapture(`${name}-killed`), /^CaptureTaken: another daemon/);
  await taken;
  child.kill("SIGKILL");
  await once(child, "exit");
  await (await ownCapture(`${name}-killed`)).release();
});
