import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { shortenTimeSlice } from "../../bench/lib/short-time-slice.ts";
import { hasChosenSlices, slicesOfThreads } from "../helpers/time-slices.ts";

const SCRIPT = `
const { parentPort, workerData } = require("node:worker_threads");
import(workerData).then(({ shortenTimeSlice }) => {
  parentPort.postMessage(shortenTimeSlice());
  parentPort.once("message", () => process.exit());
});`;

test("a thread that asks for it, and no other, has short time slices", async (t) => {
  if (!hasChosenSlices()) return t.skip("time slices cannot be chosen before Linux 6.12");
  const workerData = new URL("../../bench/lib/short-time-slice.ts", import.meta.url).href;
  const worker = new Worker(SCRIPT, { eval: true, workerData, name: "short" });
  const [isShort] = await once(worker, "message");
  const threads = slicesOfThreads();
  worker.postMessage("end");
  await once(worker, "exit");
  assert.equal(isShort, true);
  const [short, others] = [true, false].map((isIt) =>
    threads.filter(({ name }) => name.startsWith("short") === isIt).map(({ nanos }) => nanos),
  );
  assert.deepEqual(short, [100_000]);
  assert(
    others?.every((nanos) => nanos > 100_000),
    `${others}`,
  );
});

test("where there are no slices to be chosen nothing happens", (t) => {
  t.after(() => Object.defineProperty(process, "platform", { value: real }));
  const real = process.platform;
  Object.defineProperty(process, "platform", { value: "darwin" });
  assert.equal(shortenTimeSlice(), false);
});
