import { Worker } from "node:worker_threads";
import { writeFailure } from "./failures.ts";
import { MAX_INPUT_BYTES } from "./target.ts";

/** Places of the numbers in the shared memory; the input lies behind them. */
export const COUNT = 0;
export const LENGTH = 1;
export const HEAD_BYTES = 8;

/**
 * Keeps the input under way where a thread of its own sees it. A codec that does not return, or that fails when nobody
 * waits for it, ends the process; then the input is in a file all the same.
 */
export class HangWatch {
  readonly #target: string;
  readonly #numbers: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #worker: Worker;

  constructor(target: string, hangMs: number) {
    const memory = new SharedArrayBuffer(HEAD_BYTES + MAX_INPUT_BYTES);
    this.#target = target;
    this.#numbers = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, HEAD_BYTES);
    const workerData = { target, memory, hangMs };
    this.#worker = new Worker(new URL("./hang-worker.ts", import.meta.url), { workerData });
    this.#worker.unref();
    process.on("uncaughtExceptionMonitor", this.#onCrash);
  }

  begin(input: Buffer): void {
    this.#bytes.set(input);
    this.#numbers[LENGTH] = input.length;
    this.#numbers[COUNT]! += 1;
  }

  readonly #onCrash = (error: Error): void => {
    const input = Buffer.from(this.#bytes.subarray(0, this.#numbers[LENGTH]));
    process.stderr.write(`${writeFailure(this.#target, input, error).message}\n`);
  };

  async close(): Promise<void> {
    process.off("uncaughtExceptionMonitor", this.#onCrash);
    await this.#worker.terminate();
  }
}
