import { isIPv6 } from "node:net";
import type { Family } from "./plan.ts";

/** What is to be captured, and how. Parsed settings plus the ports that the daemon listens on. */
export interface CaptureSpec {
  /** tproxy keeps both addresses and needs no conntrack; redirect is for hosts without TPROXY. */
  readonly mode: "tproxy" | "redirect";
  /** Port of the daemon's capture listener. */
  readonly outboundPort: number;
  /** Port of the daemon's listener for plaintext from outside to guarded workloads. */
  readonly inboundPort: number;
  /** When the daemon is gone: `open` lets workloads talk directly, `closed` resets their new connections. */
  readonly onDeath: "open" | "closed";
  readonly ipv6: boolean;
  /** Destination ports that are never captured. */
  readonly excludePorts: readonly number[];
  /** Subnets (CIDR or address) never captured, as source or as destination. */
  readonly excludeSubnets: readonly string[];
  /**
   * Packet mark of captured packets. `mark + 1` marks packets that are to be refused; `mark + 2`, with REDIRECT beside
   * kube-proxy's mode nftables, those from outside.
   */
  readonly mark: number;
  /** Routing table that delivers marked packets locally. */
  readonly table: number;
  /** Lifetime of the dead-man entries, in ms; the kernel counts whole seconds, so it is rounded up. */
  readonly deadManMs: number;
  /** The proxy's own ports on this host: never captured on an address of the host. */
  readonly proxyPorts: readonly number[];
  /** Drop connections that carry a workload's address and come from another interface than it is behind. */
  readonly verifySource: boolean;
}

/** Names of the sets of one family. */
export function setNames(family: Family): {
  readonly workloads: string;
  readonly guarded: string;
  readonly alive: string;
  readonly virtual: string;
} {
  return {
    workloads: `hostmesh${family}`,
    guarded: `hostmesh-guard${family}`,
    alive: `hostmesh-alive${family}`,
    virtual: `hostmesh-vip${family}`,
  };
}

/** The packet mark and mask as iptables and `ip rule` write them. Marks of 16 bits leave the upper half to others. */
export function markText(mark: number): string {
  return `0x${mark.toString(16)}/${mark + 2 <= 0xffff ? "0xffff" : "0xffffffff"}`;
}

/** @throws RangeError naming what cannot be expressed as rules. */
export function validateSpec(spec: CaptureSpec): void {
  const ports = [spec.outboundPort, spec.inboundPort, ...spec.excludePorts, ...spec.proxyPorts];
  for (const port of ports) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new RangeError(`capture: ${port} is no port`);
    }
  }
  if (!Number.isInteger(spec.mark) || spec.mark < 1 || spec.mark > 0xfffffffd) {
    throw new RangeError(`capture: mark ${spec.mark} is not between 1 and 0xfffffffd`);
  }
  // 253 to 255 are default, main and local (rtnetlink(7)); 0 is "unspecified".
  const reserved = spec.table >= 253 && spec.table <= 255;
  if (!Number.isInteger(spec.table) || spec.table < 1 || spec.table > 0x7fffffff || reserved) {
    throw new RangeError(`capture: routing table ${spec.table} is not free for use`);
  }
  for (const subnet of spec.excludeSubnets) validateSubnet(subnet);
}

function validateSubnet(subnet: string): void {
  const [address = "", prefix, rest] = subnet.split("/");
  const six = isIPv6(address);
  const four = /^\d{1,3}(\.\d{1,3}){3}$/.test(address) && address.split(".").every((n) => +n < 256);
  const bits = prefix === undefined ? 0 : Number(prefix);
  const badPrefix = prefix !== undefined && (!/^\d{1,3}$/.test(prefix) || bits > (six ? 128 : 32));
  if ((!six && !four) || badPrefix || rest !== undefined || address.includes("%")) {
    throw new RangeError(`capture: ${JSON.stringify(subnet)} is no subnet (address or CIDR)`);
  }
}
