import type { RegistryOptions } from "../../src/registry/registry.ts";

/** Settings of a registry on a free port of loopback; the caller names at least its data folder, host and log. */
export const REGISTRY_DEFAULTS = {
  bind: "127.0.0.1",
  port: 0,
  nodeAddress: "127.0.0.1",
  virtualCidr4: "240.240.0.0/16",
  virtualCidr6: "2001:2::/48",
  pingMs: 5_000,
  balancer: { policy: "peak-ewma", slowStartMs: 10_000 },
} as const satisfies Partial<RegistryOptions>;
