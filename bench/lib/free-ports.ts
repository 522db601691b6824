import { randomInt } from "node:crypto";
import { freePort } from "../../daemon/free-port.ts";

/** Below the range from which Linux takes ports for outgoing connections, which come and go under load. */
const FIRST = 20_000;
const LAST = 32_000;
const TRIES = 200;

/** Ports of the loopback address on which nobody listens. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; tries < TRIES && found.size < count; tries++) {
    const port = randomInt(FIRST, LAST);
    const isFree = await freePort("127.0.0.1", port).then(
      () => true,
      () => false,
    );
    if (isFree) found.add(port);
  }
  if (found.size < count) throw new Error(`no ${count} free ports from ${FIRST} to ${LAST}`);
  return [...found];
}
