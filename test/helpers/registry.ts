import {
  type RegistryOptions,
  type RunningRegistry,
  startRegistry,
} from "../../src/registry/registry.ts";

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** A registry on a free port of loopback, with short names for its host and no log unless the caller says more. */
export function startTestRegistry(
  options: Partial<RegistryOptions> & Pick<RegistryOptions, "dataDir">,
): Promise<RunningRegistry> {
  return startRegistry({
    bind: "127.0.0.1",
    port: 0,
    host: "here",
    nodeAddress: "127.0.0.1",
    virtualCidr4: "240.240.0.0/16",
    virtualCidr6: "2001:2::/48",
    pingMs: 5_000,
    balancer: { policy: "peak-ewma", slowStartMs: 10_000 },
    log: SILENT,
    ...options,
  });
}
