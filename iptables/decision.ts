import { isIPv6 } from "node:net";
import { type DraftRule, NOT_SYN, rule } from "./drafts.ts";
import type { Family } from "./plan.ts";
import { type CaptureSpec, setNames } from "./spec.ts";

/** `multiport` takes fifteen ports a rule (iptables-extensions(8)). */
const PORTS_PER_RULE = 15;

/**
 * Never captured: cloud metadata (169.254.169.254) decides by the caller's address and hop count, and a
 * proxy on the host would answer for the host; IPv6 link-local is neighbours and the gateway.
 */
const LINK_LOCAL: Readonly<Record<Family, string>> = { 4: "169.254.0.0/16", 6: "fe80::/10" };

/**
 * The address is the identity, so it must come from the interface behind which the workload is (RFC 3704
 * section 2.2, strict reverse path). Every packet, so that nothing can be slipped into a connection either.
 */
export function forged(spec: CaptureSpec, family: Family): DraftRule[] {
  if (!spec.verifySource) return [];
  const from = `-p tcp -m set --match-set ${setNames(family).workloads} src -m rpfilter --invert`;
  return [rule("forged", from, "-j DROP", "workload address, wrong interface")];
}

/** Everything that is left alone, whatever the state of the daemon, and what is decided in HOSTMESH_INBOUND. */
export function bystanders(spec: CaptureSpec, family: Family): DraftRule[] {
  const { workloads, guarded, virtual } = setNames(family);
  // Never an address of the host itself, whoever registered it: ssh would be captured.
  const guardedOnly = `-m set --match-set ${guarded} dst -m addrtype ! --dst-type LOCAL`;
  const fromOutside = `${guardedOnly} -m set ! --match-set ${workloads} src`;
  const rules = [
    rule("established", NOT_SYN, "-j RETURN", "established direct flows"),
    rule("inbound", fromOutside, "-g HOSTMESH_INBOUND", "from outside to a guarded workload"),
    rule("foreign", `-m set ! --match-set ${workloads} src`, "-j RETURN", "not from a workload"),
  ];
  for (const ports of chunks(spec.proxyPorts, PORTS_PER_RULE)) {
    const match = `-p tcp -m addrtype --dst-type LOCAL -m multiport --dports ${ports.join(",")}`;
    rules.push(rule(`proxy-ports-${ports[0]}`, match, "-j RETURN", "ports of the proxy"));
  }
  const host = `-m set ! --match-set ${virtual} dst -m addrtype --dst-type LOCAL`;
  rules.push(rule("host", host, "-j RETURN", "the host itself"));
  return [...rules, ...excluded(spec, family)];
}

/** What is never captured, in either direction. */
export function excluded(spec: CaptureSpec, family: Family): DraftRule[] {
  const rules: DraftRule[] = [];
  const subnets = spec.excludeSubnets.filter((subnet) => familyOf(subnet) === family);
  for (const subnet of [LINK_LOCAL[family], ...subnets]) {
    rules.push(rule(`to-${subnet}`, `-d ${subnet}`, "-j RETURN", "excluded subnet"));
    rules.push(rule(`from-${subnet}`, `-s ${subnet}`, "-j RETURN", "excluded subnet"));
  }
  for (const ports of chunks(spec.excludePorts, PORTS_PER_RULE)) {
    const match = `-p tcp -m multiport --dports ${ports.join(",")}`;
    rules.push(rule(`ports-${ports[0]}`, match, "-j RETURN", "excluded ports"));
  }
  return rules;
}

function chunks(ports: readonly number[], size: number): number[][] {
  const sorted = [...new Set(ports)].sort((a, b) => a - b);
  const result: number[][] = [];
  for (let at = 0; at < sorted.length; at += size) result.push(sorted.slice(at, at + size));
  return result;
}

function familyOf(subnet: string): Family {
  return isIPv6(subnet.split("/")[0] ?? "") ? 6 : 4;
}
