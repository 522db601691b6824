import type { EarlyPlan, Family } from "./plan.ts";
import { type CaptureSpec, markText } from "./spec.ts";

/** Of nft, one for each family. iptables cannot make base chains of another priority. */
export const EARLY_TABLE = "hostmesh";

/**
 * kube-proxy's mode nftables has base chains at the priority of iptables' `nat` (-100, dstnat). Of two chains with one
 * priority the kernel asks the younger first, and kube-proxy makes its own anew whenever it starts. So ours come
 * before either; this is also where its README asks others to be (dstnat - 10).
 */
const PRIORITY = -110;

/** Chains of nft that do what the marks of the iptables rules say; see `redirectParts`. */
export function earlyRedirect(spec: CaptureSpec, family: Family, hash: string): EarlyPlan {
  const table = `${family === 4 ? "ip" : "ip6"} ${EARLY_TABLE}`;
  const marked = (mark: number) => {
    const [value, mask] = markText(mark).split("/");
    return `meta l4proto tcp meta mark and ${mask} == ${value}`;
  };
  const redirect = `redirect-${hash}`;
  const refuse = `refuse-${hash}`;
  const hook = (type: string) => `{ type ${type} hook prerouting priority ${PRIORITY} ; }`;
  const lines = [
    `add table ${table}`,
    `add chain ${table} ${redirect} ${hook("nat")}`,
    `add rule ${table} ${redirect} ${marked(spec.mark)} redirect to :${spec.outboundPort}`,
    `add rule ${table} ${redirect} ${marked(inboundMark(spec))} redirect to :${spec.inboundPort}`,
  ];
  if (spec.onDeath !== "closed") return { chains: [redirect], lines };
  return {
    chains: [redirect, refuse],
    lines: [
      ...lines,
      `add chain ${table} ${refuse} ${hook("filter")}`,
      `add rule ${table} ${refuse} ${marked(spec.mark + 1)} reject with tcp reset`,
    ],
  };
}

/** Marks connections from outside to guarded workloads. */
export function inboundMark(spec: CaptureSpec): number {
  return spec.mark + 2;
}
