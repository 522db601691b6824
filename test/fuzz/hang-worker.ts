import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { writeFailure } from "./failures.ts";
import { COUNT, HEAD_BYTES, LENGTH } from "./hang-watch.ts";

interface Watched {
  readonly target: string;
  readonly memory: SharedArrayBuffer;
  readonly hangMs: number;
}

const STDERR = 2;
/** Looks in the time that an input has. */
const LOOKS = 10;

const { target, memory, hangMs } = workerData as Watched;
const numbers = new Int32Array(memory, 0, 2);
let count = -1;
let looks = 0;

setInterval(() => {
  const now = Atomics.load(numbers, COUNT);
  looks = now === count ? looks + 1 : 0;
  count = now;
  if (looks < LOOKS) return;
  const input = Buffer.from(new Uint8Array(memory, HEAD_BYTES, numbers[LENGTH]));
  const failure = writeFailure(target, input, new Error(`no end within ${hangMs} ms`));
  // The thread that hangs can neither print nor be stopped in another way.
  writeSync(STDERR, `${failure.message}\n`);
  process.kill(process.pid, "SIGKILL");
}, hangMs / LOOKS);
