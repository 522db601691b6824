import { type Finding, failure, ok, skipped, warning } from "../finding.ts";
import { captureValue } from "./capture-value.ts";
import type { NodeFacts } from "./node-facts.ts";

export type ProxyMode = "iptables" | "ipvs" | "nftables" | "none";

/** What balances service addresses on this node; null: nothing tells, as nobody may look at the rules. */
export function proxyModeOf(facts: NodeFacts): ProxyMode | null {
  const { links, rules, ruleset, proxyMode } = facts;
  if (links.some(({ name }) => name === "kube-ipvs0")) return "ipvs";
  if (/^table ip6? kube-proxy\b/m.test(ruleset ?? "")) return "nftables";
  if ([rules.nft, rules.legacy].some((text) => /^:KUBE-SERVICES\b/m.test(text ?? ""))) {
    return "iptables";
  }
  if (proxyMode === "iptables" || proxyMode === "ipvs" || proxyMode === "nftables")
    return proxyMode;
  return rules.nft === null && rules.legacy === null && ruleset === null ? null : "none";
}

export function kubeProxyFindings(facts: NodeFacts, mode: "tproxy" | "redirect"): Finding[] {
  const proxy = proxyModeOf(facts);
  if (proxy === null)
    return [skipped("kube-proxy: it does not answer, and only root can read the rules")];
  if (proxy === "none") {
    return [
      warning(
        "kube-proxy has no rules here",
        "Before a node has joined its cluster that is right; if something else serves service addresses (Cilium, an SDN), see the lines on the pods' network.",
      ),
    ];
  }
  if (proxy === "ipvs") {
    return mode === "redirect"
      ? [
          ok(
            "kube-proxy in mode ipvs: service addresses are local ones, and are captured all the same",
          ),
        ]
      : [
          warning(
            "kube-proxy in mode ipvs takes connections to service addresses before TPROXY's socket can",
            `Install with ${captureValue("redirect")}, or move kube-proxy to mode nftables.`,
          ),
        ];
  }
  if (proxy === "nftables" && mode === "redirect" && facts.backend === "legacy") {
    return [
      failure(
        "kube-proxy in mode nftables, and iptables here is legacy: REDIRECT's rules may come after kube-proxy's, and services are not captured",
        `Make iptables the nft kind (update-alternatives --set iptables /usr/sbin/iptables-nft), or install with ${captureValue("tproxy")}.`,
      ),
    ];
  }
  return [ok(`kube-proxy in mode ${proxy}: capture comes before it`)];
}
