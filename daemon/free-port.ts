import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const PAUSE_MS = 100;

/**
 * Makes sure that a port can be had, and returns it; 0 finds a free one. Tries again for `patienceMs`,
 * because a daemon that is going gives its ports up a moment later. Rejects with the error of the last try.
 */
export async function freePort(
  host: string,
  port: number,
  { patienceMs = 0 }: { patienceMs?: number } = {},
): Promise<number> {
  for (let left = patienceMs; ; left -= PAUSE_MS) {
    try {
      return await tryPort(host, port);
    } catch (error) {
      if (left <= 0) throw error;
      await delay(PAUSE_MS);
    }
  }
}

function tryPort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const found = typeof address === "object" && address !== null ? address.port : port;
      server.close(() => resolve(found));
    });
  });
}
