import { randomInt } from "node:crypto";
import { freePort } from "../../daemon/free-port.ts";

/** Below the range from which Linux takes ports for outgoing connections, which come and go under load. */
const FIRST = 20_000;
const LAST = 32_000;

/** Where the search goes on: no port is given twice before all had their turn, also where nobody listens on it yet. */
let next = randomInt(FIRST, LAST);

/** Ports of the loopback address on which nobody listens. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let tries = LAST - FIRST; tries > 0 && found.length < count; tries--) {
    const port = next;
    next = next + 1 < LAST ? next + 1 : FIRST;
    const isFree = await freePort("127.0.0.1", port).then(
      () => true,
      () => false,
    );
    if (isFree) found.push(port);
  }
  if (found.length < count) throw new Error(`no ${count} free ports from ${FIRST} to ${LAST}`);
  return found;
}
