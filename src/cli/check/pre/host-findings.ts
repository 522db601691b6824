import { RULE_PRIORITY } from "../../../../iptables/plan.ts";
import type { CaptureSpec } from "../../../../iptables/spec.ts";
import { type Finding, failure, ok, skipped, warning } from "../finding.ts";
import { captureValue } from "./capture-value.ts";
import type { NodeFacts, RoutingRule } from "./node-facts.ts";

/** Above this share of the table, new connections are soon dropped. */
const CONNTRACK_FULL = 0.8;
/** What kube-proxy sets at the least (conntrack.min). */
const CONNTRACK_LEAST = 131_072;

export function sysctlFindings({ sysctls }: NodeFacts): Finding[] {
  return [...forwardFindings(sysctls), ...pathFindings(sysctls), ...conntrackFindings(sysctls)];
}

function forwardFindings(sysctls: NodeFacts["sysctls"]): Finding[] {
  const forwards = sysctls.get("net.ipv4.ip_forward");
  if (forwards === undefined) return [skipped("net.ipv4.ip_forward cannot be read")];
  if (forwards === "1") return [ok("the host forwards (net.ipv4.ip_forward=1)")];
  return [
    failure(
      "net.ipv4.ip_forward=0: no pod reaches anything beyond this host",
      "sysctl -w net.ipv4.ip_forward=1, and in /etc/sysctl.d to keep it.",
    ),
  ];
}

function pathFindings(sysctls: NodeFacts["sysctls"]): Finding[] {
  const strict = ["all", "default"].some(
    (which) => sysctls.get(`net.ipv4.conf.${which}.rp_filter`) === "1",
  );
  if (strict && sysctls.get("net.ipv4.conf.all.src_valid_mark") === "1") {
    return [
      failure(
        "net.ipv4.conf.all.src_valid_mark=1 with strict rp_filter: the kernel drops what TPROXY marks",
        `Set rp_filter to 2 (loose), or src_valid_mark to 0 (wg-quick sets it), or install with ${captureValue("redirect")}.`,
      ),
    ];
  }
  return [ok(`captured packets pass rp_filter${strict ? ", which is strict" : ""}`)];
}

function conntrackFindings(sysctls: NodeFacts["sysctls"]): Finding[] {
  const max = Number(sysctls.get("net.netfilter.nf_conntrack_max"));
  const count = Number(sysctls.get("net.netfilter.nf_conntrack_count"));
  if (!Number.isFinite(max) || max === 0)
    return [skipped("conntrack is not loaded, or has no limit that can be read")];
  const text = `conntrack holds ${count} of ${max} connections`;
  if (count > max * CONNTRACK_FULL) {
    return [
      warning(
        text,
        "Raise net.netfilter.nf_conntrack_max (kube-proxy: conntrack.maxPerCore, conntrack.min).",
      ),
    ];
  }
  if (max < CONNTRACK_LEAST) {
    return [
      warning(
        `${text}, less than kube-proxy sets at the least (${CONNTRACK_LEAST})`,
        "Raise net.netfilter.nf_conntrack_max: the connections from the daemon to pods and other hosts are tracked.",
      ),
    ];
  }
  return [ok(text)];
}

/** Marks, tables and rules of others with which packets that are captured would go astray. */
export function routingFindings(
  { routingRules, tableRoutes }: NodeFacts,
  spec: Pick<CaptureSpec, "mark" | "table">,
): Finding[] {
  const others = routingRules.filter(({ isOurs }) => !isOurs);
  const findings = [
    ...others.flatMap((rule) => markFindings(rule, spec.mark)),
    ...others.flatMap((rule) => priorityFindings(rule)),
  ];
  if (tableRoutes.length > 0) {
    findings.push(
      failure(
        `routing table ${spec.table} holds routes of somebody else (${tableRoutes.slice(0, 3).join(", ")})`,
        "Choose another with capture.table.",
      ),
    );
  }
  if (findings.length > 0) return findings;
  return [ok(`packet mark 0x${spec.mark.toString(16)} and routing table ${spec.table} are free`)];
}

function markFindings(rule: RoutingRule, mark: number): Finding[] {
  if (rule.mark === null) return [];
  const { value, mask } = rule.mark;
  const meets = (mark & mask) >>> 0 === (value & mask) >>> 0 && mask !== 0;
  if (!meets || rule.priority > RULE_PRIORITY) return [];
  return [
    failure(
      `a routing rule (IPv${rule.family}, priority ${rule.priority}, fwmark 0x${value.toString(16)}/0x${mask.toString(16)}) takes packets with the mark 0x${mark.toString(16)} to table ${rule.table}`,
      "Choose another mark with capture.mark, whose bits under that mask differ.",
    ),
  ];
}

/** A rule without conditions, before ours, decides for everything; that of local addresses (0) is always there. */
function priorityFindings(rule: RoutingRule): Finding[] {
  const isForAll = rule.mark === null && rule.selector === "";
  if (!isForAll || rule.priority >= RULE_PRIORITY || rule.table === "local") return [];
  return [
    warning(
      `a routing rule of priority ${rule.priority} (IPv${rule.family}) looks all packets up in table ${rule.table}, before capture's (${RULE_PRIORITY})`,
      `If that table has a default route captured packets follow it: give that rule a priority over ${RULE_PRIORITY}.`,
    ),
  ];
}

/** Ports that the daemon, or a registry on the host's network, listens on. */
export function portFindings(
  { listening }: NodeFacts,
  ports: { readonly daemon: readonly number[]; readonly registry: readonly number[] },
  isRunning: boolean,
): Finding[] {
  if (listening === null) return [skipped("ports: the sockets cannot be read")];
  const all = [...ports.daemon, ...ports.registry];
  const taken = all.filter((port) => listening.has(port));
  if (taken.length === 0) return [ok(`ports ${all.join(", ")} are free`)];
  if (isRunning) return [ok(`a daemon runs here; ports in use: ${taken.join(", ")}`)];
  return taken.map((port) => {
    const text = `port ${port} is used by ${listening.get(port)}`;
    return ports.daemon.includes(port)
      ? failure(text, "Stop it, or give the daemon another port (ports.*, mesh.*).")
      : warning(text, "It matters only where a registry runs on the host's network.");
  });
}

/** Firewalls that judge what ends on the host: captured connections do. */
export function firewallFindings({ rules, ruleset, isRoot }: NodeFacts): Finding[] {
  if (ruleset === null && rules.nft === null && rules.legacy === null) {
    return [
      skipped(`firewalls: ${isRoot ? "no tool lists the rules" : "only root can read the rules"}`),
    ];
  }
  const text = `${rules.nft ?? ""}${rules.legacy ?? ""}${ruleset ?? ""}`;
  const findings: Finding[] = [];
  if (/^table \S+ firewalld\b|^:IN_public\b/m.test(text)) {
    findings.push(
      warning(
        "firewalld is active: it judges captured connections as ones to the host, in a table of its own that an ACCEPT of iptables does not end, and flushes rules when it is reloaded",
        "firewall-cmd --permanent --zone=trusted --add-source=PODS-CIDR && firewall-cmd --reload.",
      ),
    );
  }
  if (/^(:|\s*chain )ufw6?-/m.test(text)) {
    findings.push(
      warning(
        "ufw is active: its default is to drop what is forwarded",
        "ufw allow in from PODS-CIDR, and DEFAULT_FORWARD_POLICY=ACCEPT in /etc/default/ufw.",
      ),
    );
  }
  const dropping = droppingInputs(ruleset ?? "");
  if (dropping.length > 0) {
    findings.push(
      warning(
        `a chain at the host's input drops by default: ${dropping.join(", ")}`,
        "Accept there what pods send to any address (meta mark and 0xffff == 0x4d4d accept), or captured connections are lost.",
      ),
    );
  }
  return findings.length > 0 ? findings : [ok("no firewall of the host in the way")];
}

/** Base chains of nft tables other than iptables' own, which hook input with policy drop. */
function droppingInputs(ruleset: string): string[] {
  const found: string[] = [];
  let table = "";
  let chain = "";
  for (const line of ruleset.split("\n")) {
    table = /^table (\S+ \S+) \{/.exec(line)?.[1] ?? table;
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    const isOfIptables = /^ip6? filter$/.test(table);
    if (/hook input .*policy drop/.test(line) && !isOfIptables) found.push(`${table} ${chain}`);
  }
  return found;
}
