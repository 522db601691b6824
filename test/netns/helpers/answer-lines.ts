import { createInterface } from "node:readline";

/** The monotonic clock of the whole machine in ms, the same in every process of it. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/**
 * The far end of a `Program` that is asked things: takes one JSON object per line of standard input, prints
 * `{ id, ...result }` for each, in whatever order they end. Ends with its parent. Prints "ready" first.
 */
export function answerLines<T extends object>(
  answer: (question: T) => Promise<object> | object,
): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { id, ...question }: T & { readonly id: number } = JSON.parse(line);
    console.log(JSON.stringify({ id, ...(await answer(question as T)) }));
  });
  lines.on("close", () => process.exit(0));
  console.log("ready");
}
