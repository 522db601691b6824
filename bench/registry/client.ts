import { join } from "node:path";
import { processClock } from "../../src/core/clock.ts";
import { RegistryClient } from "../../src/registry/client.ts";

/** A child process with one real registry client: time of a full sync, and memory before and after. */
const [, , url = "", folder = ""] = process.argv;
const quiet = () => {};
globalThis.gc?.();
const before = process.memoryUsage.rss();
const start = performance.now();
let longestMs = 0;
let last = start;
const tick = setInterval(() => {
  longestMs = Math.max(longestMs, performance.now() - last - 5);
  last = performance.now();
}, 5);
const client = new RegistryClient({
  urls: [url],
  host: "bench",
  zone: "",
  version: "bench",
  snapshotPath: join(folder, "snapshot.json"),
  reconnectMinMs: 100,
  reconnectMaxMs: 1_000,
  clock: processClock,
  random: Math.random,
  log: { debug: quiet, info: quiet, warn: console.error, error: console.error },
  onChecks: quiet,
  onUpdate(changes, revision, full) {
    if (!full) return;
    const syncMs = performance.now() - start;
    setTimeout(() => {
      clearInterval(tick);
      globalThis.gc?.();
      const rss = process.memoryUsage.rss();
      const { heapUsed } = process.memoryUsage();
      process.send?.({
        revision,
        records: changes.length,
        syncMs,
        before,
        rss,
        heapUsed,
        longestMs,
      });
    }, 2_000);
  },
});
await client.start();
process.once("disconnect", () => process.exit(0));
