import type { CaptureSpec } from "../../iptables/spec.ts";

/** TPROXY for both families with the defaults of the settings. */
export function captureSpec(overrides: Partial<CaptureSpec> = {}): CaptureSpec {
  return {
    mode: "tproxy",
    outboundPort: 15_001,
    inboundPort: 15_006,
    onDeath: "open",
    ipv6: true,
    excludePorts: [],
    excludeSubnets: [],
    mark: 0x4d4d,
    table: 15_001,
    deadManMs: 5_000,
    proxyPorts: [4_140],
    verifySource: true,
    ...overrides,
  };
}
