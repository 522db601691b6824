import { setTimeout as delay } from "node:timers/promises";

/** Polls until the condition holds; throws with `what` when it does not in time, which is ample: machines that test are busy. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = 15_000, what = "the condition" }: { timeoutMs?: number; what?: string } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`${what} did not come true in ${timeoutMs} ms`);
    await delay(5);
  }
}

/** Polls until a number is above 0 and has not changed for `quietMs`; returns it. */
export async function untilStill(read: () => number, quietMs = 100): Promise<number> {
  let seen = 0;
  let since = performance.now();
  const isStill = () => {
    const now = read();
    if (now !== seen) since = performance.now();
    seen = now;
    return seen > 0 && performance.now() - since >= quietMs;
  };
  await until(isStill, { what: "standstill" });
  return seen;
}
