import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";

export type Family = 4 | 6;
export type Table = "raw" | "mangle" | "nat" | "filter";

/** What is to be captured, and how. Parsed settings plus the ports that the daemon listens on. */
export interface CaptureSpec {
  /** tproxy keeps both addresses and needs no conntrack; redirect is for hosts without TPROXY. */
  readonly mode: "tproxy" | "redirect";
  /** Port of the daemon's capture listener. */
  readonly outboundPort: number;
  /** When the daemon is gone: `open` lets workloads talk directly, `closed` resets their new connections. */
  readonly onDeath: "open" | "closed";
  readonly ipv6: boolean;
  /** Destination ports that are never captured. */
  readonly excludePorts: readonly number[];
  /** Subnets (CIDR or address) never captured, as source or as destination. */
  readonly excludeSubnets: readonly string[];
  /** Packet mark of captured packets. `mark + 1` marks packets that are to be refused. */
  readonly mark: number;
  /** Routing table that delivers marked packets locally. */
  readonly table: number;
  /** Lifetime of the dead-man entries, in ms; the kernel counts whole seconds, so it is rounded up. */
  readonly deadManMs: number;
  /** The proxy's own ports on this host: never captured on an address of the host. */
  readonly proxyPorts: readonly number[];
}

/** One rule of a chain of ours. `id` is unique in the plan and names the rule in messages. */
export interface PlanRule {
  readonly id: string;
  /** Everything after `-A CHAIN`, the comment included. */
  readonly text: string;
}

export interface PlanChain {
  readonly table: Table;
  readonly name: string;
  readonly rules: readonly PlanRule[];
}

/** The one rule that leads from a chain of the kernel to one of ours; always the first there. */
export interface PlanJump {
  readonly table: Table;
  readonly from: string;
  readonly id: string;
  /** What to match, between chain name and comment. */
  readonly match: string;
  readonly to: string;
}

export interface SetDefinition {
  readonly name: string;
  /** Arguments of `ipset create` after the name. */
  readonly type: string;
  readonly purpose: string;
}

export interface FamilyPlan {
  readonly family: Family;
  /** In the order in which tables are written: what starts the capture comes last. */
  readonly tables: readonly Table[];
  readonly chains: readonly PlanChain[];
  readonly jumps: readonly PlanJump[];
  readonly sets: readonly SetDefinition[];
  /** TPROXY only: packets with the mark are looked up in a table that says "local". */
  readonly routing: RoutingPlan | null;
}

export interface RoutingPlan {
  /** Arguments after `ip -4|-6 rule add`. */
  readonly rule: readonly string[];
  /** Arguments after `ip -4|-6 route add`. */
  readonly route: readonly string[];
}

export interface Plan {
  /** Eight hex digits over all rules; part of every comment, so a changed spec is seen in the kernel. */
  readonly hash: string;
  readonly families: readonly FamilyPlan[];
}

/** Prefix of every chain that belongs to hostmesh. */
export const CHAIN_PREFIX = "HOSTMESH_";
/** Routing rules and routes of ours carry this protocol number, so that they are recognised after a crash. */
export const ROUTE_PROTOCOL = 151;
/** Before the source rules of cloud network plugins (AWS VPC CNI: 512 and up), which would win otherwise. */
export const RULE_PRIORITY = 80;
/** Workloads per family; four times the default limit of local workloads. */
const MAX_WORKLOADS = 65_536;
/** `multiport` takes fifteen ports a rule (iptables-extensions(8)). */
const PORTS_PER_RULE = 15;
const SYN = "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN";
const NOT_SYN = "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN";

/**
 * Never captured: cloud metadata (169.254.169.254) decides by the caller's address and hop count, and a
 * proxy on the host would answer for the host; IPv6 link-local is neighbours and the gateway.
 */
const LINK_LOCAL: Readonly<Record<Family, string>> = { 4: "169.254.0.0/16", 6: "fe80::/10" };

/** Names of the sets of one family. */
export function setNames(family: Family): {
  readonly workloads: string;
  readonly alive: string;
  readonly virtual: string;
} {
  return {
    workloads: `hostmesh${family}`,
    alive: `hostmesh-alive${family}`,
    virtual: `hostmesh-vip${family}`,
  };
}

/** The packet mark and mask as iptables and `ip rule` write them. Marks of 16 bits leave the upper half to others. */
export function markText(mark: number): string {
  return `0x${mark.toString(16)}/${mark + 1 <= 0xffff ? "0xffff" : "0xffffffff"}`;
}

/**
 * Turns a spec into everything that has to exist in the kernel. Pure: the same spec gives the same plan.
 * Why each rule is there and in this order: docs/capture.md.
 * @throws RangeError naming the field where the spec cannot be expressed as rules.
 */
export function buildPlan(spec: CaptureSpec): Plan {
  validateSpec(spec);
  const families: Family[] = spec.ipv6 ? [4, 6] : [4];
  const drafts = families.map((family) => familyDraft(spec, family));
  const hash = createHash("sha256").update(JSON.stringify(drafts)).digest("hex").slice(0, 8);
  return { hash, families: drafts.map((draft) => stamp(draft, hash)) };
}

interface DraftRule {
  readonly id: string;
  readonly match: string;
  readonly target: string;
  readonly why: string;
}

type DraftChain = Omit<PlanChain, "rules"> & { readonly rules: readonly DraftRule[] };
type Draft = Omit<FamilyPlan, "chains"> & { readonly chains: readonly DraftChain[] };

function familyDraft(spec: CaptureSpec, family: Family): Draft {
  const parts = spec.mode === "tproxy" ? tproxyParts(spec, family) : redirectParts(spec, family);
  const filter = filterParts(spec, family);
  return {
    family,
    tables: spec.mode === "tproxy" ? ["filter", "mangle", "raw"] : ["filter", "nat"],
    chains: [...filter.chains, ...parts.chains],
    jumps: [...filter.jumps, ...parts.jumps],
    sets: setDefinitions(family),
    routing: spec.mode === "tproxy" ? routing(spec, family) : null,
  };
}

interface Parts {
  readonly chains: readonly DraftChain[];
  readonly jumps: readonly PlanJump[];
}

/** The decision falls once, in raw: there, addresses are the original ones and conntrack has not run. */
function tproxyParts(spec: CaptureSpec, family: Family): Parts {
  const { workloads, alive } = setNames(family);
  const mark = markText(spec.mark);
  const refuse = markText(spec.mark + 1);
  const closed = spec.onDeath === "closed";
  const decide: DraftRule[] = [
    rule("proxied", "-p tcp -m socket --transparent", "-g HOSTMESH_TAKE", "flows the proxy has"),
    ...bystanders(spec, family),
    rule("alive", `-m set --match-set ${alive} src`, "-g HOSTMESH_TAKE", "new, and daemon alive"),
    ...(closed ? [rule("dead", "", "-g HOSTMESH_REFUSE", "new, and daemon dead")] : []),
  ];
  const take: DraftRule[] = [
    rule("take-notrack", "", "-j CT --notrack", "no NAT may change the destination"),
    rule("take-mark", "", `-j MARK --set-xmark ${mark}`, "for mangle and the routing rule"),
  ];
  const refusal: DraftRule[] = [
    rule("refuse-notrack", "", "-j CT --notrack", "no NAT for what is refused"),
    rule("refuse-mark", "", `-j MARK --set-xmark ${refuse}`, "for the filter table"),
  ];
  const tproxy = `-j TPROXY --on-port ${spec.outboundPort} --on-ip ${family === 4 ? "0.0.0.0" : "::"} --tproxy-mark ${mark}`;
  const mangle: DraftRule[] = [
    rule("tproxy", `-p tcp -m mark --mark ${mark}`, tproxy, "to the socket of the daemon"),
    ...(closed
      ? [rule("keep-refused", `-m mark --mark ${refuse}`, "-j ACCEPT", "keeps the mark as it is")]
      : []),
  ];
  const reply = `-p tcp -m set --match-set ${workloads} dst -m addrtype ! --src-type LOCAL`;
  const output = [rule("reply-notrack", reply, "-j CT --notrack", "answers of captured flows")];
  return {
    chains: [
      { table: "mangle", name: "HOSTMESH_PREROUTING", rules: mangle },
      { table: "raw", name: "HOSTMESH_TAKE", rules: take },
      ...(closed ? [{ table: "raw" as const, name: "HOSTMESH_REFUSE", rules: refusal }] : []),
      { table: "raw", name: "HOSTMESH_OUTPUT", rules: output },
      { table: "raw", name: "HOSTMESH_PREROUTING", rules: decide },
    ],
    jumps: [
      jump("mangle", "PREROUTING", "-p tcp"),
      jump("raw", "OUTPUT", "-p tcp"),
      jump("raw", "PREROUTING", "! -i lo -p tcp"),
    ],
  };
}

function redirectParts(spec: CaptureSpec, family: Family): Parts {
  const alive = `-p tcp -m set --match-set ${setNames(family).alive} src`;
  const refuse = markText(spec.mark + 1);
  const decide: DraftRule[] = [
    ...bystanders(spec, family),
    rule(
      "alive",
      alive,
      `-j REDIRECT --to-ports ${spec.outboundPort}`,
      "new, and daemon alive: to its socket",
    ),
  ];
  if (spec.onDeath === "closed") {
    decide.push(rule("dead-mark", "", `-j MARK --set-xmark ${refuse}`, "new, and daemon dead"));
    decide.push(rule("dead-stop", "", "-j ACCEPT", "no other NAT for what is refused"));
  }
  return {
    chains: [{ table: "nat", name: "HOSTMESH_PREROUTING", rules: decide }],
    jumps: [jump("nat", "PREROUTING", "! -i lo -p tcp")],
  };
}

/** Everything that is left alone, whatever the state of the daemon. */
function bystanders(spec: CaptureSpec, family: Family): DraftRule[] {
  const { workloads, virtual } = setNames(family);
  const rules = [
    rule("established", NOT_SYN, "-j RETURN", "established direct flows"),
    rule("foreign", `-m set ! --match-set ${workloads} src`, "-j RETURN", "not from a workload"),
  ];
  for (const ports of chunks(spec.proxyPorts, PORTS_PER_RULE)) {
    const match = `-p tcp -m addrtype --dst-type LOCAL -m multiport --dports ${ports.join(",")}`;
    rules.push(rule(`proxy-ports-${ports[0]}`, match, "-j RETURN", "ports of the proxy"));
  }
  const host = `-m set ! --match-set ${virtual} dst -m addrtype --dst-type LOCAL`;
  rules.push(rule("host", host, "-j RETURN", "the host itself"));
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

/** Captured connections end on this host: its own firewall must let them in, and may not be asked twice. */
function filterParts(spec: CaptureSpec, family: Family): Parts {
  const input =
    spec.mode === "tproxy"
      ? `-p tcp -m mark --mark ${markText(spec.mark)}`
      : `-p tcp -m tcp --dport ${spec.outboundPort} -m set --match-set ${setNames(family).workloads} src -m conntrack --ctstate DNAT`;
  const accept = [rule("input", input, "-j ACCEPT", "captured connections reach the daemon")];
  const chains: DraftChain[] = [{ table: "filter", name: "HOSTMESH_INPUT", rules: accept }];
  const jumps: PlanJump[] = [jump("filter", "INPUT", "-p tcp")];
  if (spec.onDeath === "closed") {
    const match = `${SYN} -m mark --mark ${markText(spec.mark + 1)}`;
    const reset = "-j REJECT --reject-with tcp-reset";
    const rules = [rule("refuse", match, reset, "daemon dead: refused at once")];
    chains.push({ table: "filter", name: "HOSTMESH_FORWARD", rules });
    jumps.push(jump("filter", "FORWARD", "-p tcp"));
  }
  return { chains, jumps };
}

function setDefinitions(family: Family): SetDefinition[] {
  const names = setNames(family);
  const inet = family === 4 ? "inet" : "inet6";
  const byAddress = `hash:ip family ${inet} maxelem ${MAX_WORKLOADS}`;
  return [
    { name: names.workloads, type: byAddress, purpose: "addresses of local workloads" },
    // The default lifetime is 0 and each refresh names its own: sets with another default are no longer "the same set".
    {
      name: names.alive,
      type: `hash:net family ${inet} timeout 0`,
      purpose: "dead-man: all addresses while the daemon lives",
    },
    { name: names.virtual, type: byAddress, purpose: "local addresses that are services (IPVS)" },
  ];
}

function routing(spec: CaptureSpec, family: Family): RoutingPlan {
  const everything = family === 4 ? "0.0.0.0/0" : "::/0";
  const table = String(spec.table);
  const protocol = String(ROUTE_PROTOCOL);
  const priority = String(RULE_PRIORITY);
  return {
    rule: [
      "priority",
      priority,
      "fwmark",
      markText(spec.mark),
      "lookup",
      table,
      "protocol",
      protocol,
    ],
    route: ["local", everything, "dev", "lo", "table", table, "proto", protocol],
  };
}

function rule(id: string, match: string, target: string, why: string): DraftRule {
  return { id, match, target, why };
}

function jump(table: Table, from: string, match: string): PlanJump {
  return { table, from, id: `jump-${table}-${from}`, match, to: CHAIN_PREFIX + from };
}

/** Adds hash, id and reason to each rule as its comment. */
function stamp(draft: Draft, hash: string): FamilyPlan {
  const chains = draft.chains.map((chain) => ({
    ...chain,
    rules: chain.rules.map(({ id, match, target, why }) => ({
      id,
      text: [match, `-m comment --comment "hostmesh:${hash}:${id} ${why}"`, target]
        .filter((part) => part !== "")
        .join(" "),
    })),
  }));
  return { ...draft, chains };
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

function validateSpec(spec: CaptureSpec): void {
  const ports = [spec.outboundPort, ...spec.excludePorts, ...spec.proxyPorts];
  for (const port of ports) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new RangeError(`capture: ${port} is no port`);
    }
  }
  if (!Number.isInteger(spec.mark) || spec.mark < 1 || spec.mark >= 0xffffffff) {
    throw new RangeError(`capture: mark ${spec.mark} is not between 1 and 0xfffffffe`);
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
