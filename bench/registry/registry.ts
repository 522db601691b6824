import { startRegistry } from "../../src/registry/registry.ts";

/** A child process with one registry; tells its address, and its memory when asked. */
const [, , dataDir = ""] = process.argv;
const quiet = () => {};
const registry = await startRegistry({
  dataDir,
  bind: "127.0.0.1",
  port: 0,
  host: "bench",
  nodeAddress: "127.0.0.1",
  virtualCidr4: "240.240.0.0/16",
  virtualCidr6: "2001:2::/48",
  pingMs: 5_000,
  balancer: { policy: "peak-ewma", slowStartMs: 10_000 },
  log: { debug: quiet, info: quiet, warn: console.error, error: console.error },
});
process.on("message", () => {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  process.send?.({ rss, heapUsed });
});
process.send?.({ url: registry.url });
