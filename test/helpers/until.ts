import { setTimeout as delay } from "node:timers/promises";

/** Polls until the condition holds; throws with `what` when it does not in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = 5_000, what = "the condition" }: { timeoutMs?: number; what?: string } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`${what} did not come true in ${timeoutMs} ms`);
    await delay(5);
  }
}
