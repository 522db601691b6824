import { bystanders, excluded, forged } from "./decision.ts";
import { type DraftChain, type DraftRule, jump, type Parts, rule } from "./drafts.ts";
import type { Family } from "./plan.ts";
import { type CaptureSpec, markText, setNames } from "./spec.ts";

/**
 * Calico checks the reverse path there by routing rules and mark: with ours the source is "behind" `lo`, and it would
 * drop every captured packet. `forged` has done that check.
 */
const PAST_OTHERS = rule("past-others", "", "-j ACCEPT", "others would look the mark up");

/** The decision falls once, in raw: there, addresses are the original ones and conntrack has not run. */
export function tproxyParts(spec: CaptureSpec, family: Family): Parts {
  const { alive } = setNames(family);
  const isClosed = spec.onDeath === "closed";
  const living = `-m set --match-set ${alive} src`;
  const decide: DraftRule[] = [
    ...forged(spec, family),
    rule("proxied", "-p tcp -m socket --transparent", "-g HOSTMESH_TAKE", "flows the proxy has"),
    ...bystanders(spec, family),
    rule("alive", living, "-g HOSTMESH_TAKE", "new, and daemon alive"),
    ...(isClosed ? [rule("dead", "", "-g HOSTMESH_REFUSE", "new, and daemon dead")] : []),
  ];
  const enter: DraftRule[] = [
    ...excluded(spec, family),
    rule("in-alive", living, "-g HOSTMESH_TAKE", "new, and daemon alive"),
    ...(isClosed ? [rule("in-dead", "", "-g HOSTMESH_REFUSE", "new, and daemon dead")] : []),
  ];
  return {
    chains: [
      { table: "mangle", name: "HOSTMESH_PREROUTING", rules: delivery(spec, family) },
      ...verdicts(spec),
      { table: "raw", name: "HOSTMESH_OUTPUT", rules: answers(family) },
      { table: "raw", name: "HOSTMESH_INBOUND", rules: enter },
      { table: "raw", name: "HOSTMESH_PREROUTING", rules: decide },
    ],
    jumps: [
      jump("mangle", "PREROUTING", "! -i lo"),
      jump("raw", "OUTPUT", "-p tcp"),
      jump("raw", "PREROUTING", "! -i lo -p tcp"),
    ],
  };
}

function verdicts(spec: CaptureSpec): DraftChain[] {
  const take: DraftRule[] = [
    rule("take-notrack", "", "-j CT --notrack", "no NAT may change the destination"),
    rule("take-mark", "", `-j MARK --set-xmark ${markText(spec.mark)}`, "for mangle and routing"),
    PAST_OTHERS,
  ];
  const refuse = `-j MARK --set-xmark ${markText(spec.mark + 1)}`;
  const refusal: DraftRule[] = [
    rule("refuse-notrack", "", "-j CT --notrack", "no NAT for what is refused"),
    rule("refuse-mark", "", refuse, "for the filter table"),
    PAST_OTHERS,
  ];
  const chains: DraftChain[] = [{ table: "raw", name: "HOSTMESH_TAKE", rules: take }];
  if (spec.onDeath === "closed") {
    chains.push({ table: "raw", name: "HOSTMESH_REFUSE", rules: refusal });
  }
  return chains;
}

/** Hands marked packets to the sockets of the daemon. */
function delivery(spec: CaptureSpec, family: Family): DraftRule[] {
  const mark = markText(spec.mark);
  const to = (port: number) =>
    `-j TPROXY --on-port ${port} --on-ip ${family === 4 ? "0.0.0.0" : "::"} --tproxy-mark ${mark}`;
  const marked = `-p tcp -m mark --mark ${mark}`;
  const foreign = `-m set ! --match-set ${setNames(family).workloads} src`;
  const refused = `-m mark --mark ${markText(spec.mark + 1)}`;
  // The daemon sends under the workload's address: what a router says of it (packet too big) must not go there.
  const errors = `-p ${family === 4 ? "icmp" : "ipv6-icmp"} -m socket --transparent`;
  return [
    rule("errors", errors, `-j MARK --set-xmark ${mark}`, "path MTU of flows the proxy has"),
    rule("tproxy-in", `${marked} ${foreign}`, to(spec.inboundPort), "from outside, to the daemon"),
    rule("tproxy", marked, to(spec.outboundPort), "to the socket of the daemon"),
    ...(spec.onDeath === "closed"
      ? [rule("keep-refused", refused, "-j ACCEPT", "keeps the mark as it is")]
      : []),
  ];
}

/**
 * What the daemon says in the name of somebody else: of a server to a workload, of a workload to the outside.
 * Conntrack has not seen the question and would take the answer for a new connection, which NAT may rewrite. A
 * workload's own packets come through FORWARD.
 */
function answers(family: Family): DraftRule[] {
  const { workloads, guarded } = setNames(family);
  const match = (set: string, side: "src" | "dst") =>
    `-p tcp -m set --match-set ${set} ${side} -m addrtype ! --src-type LOCAL`;
  const notrack = "-j CT --notrack";
  return [
    rule("reply-notrack", match(workloads, "dst"), notrack, "answers of captured flows"),
    rule("reply-in-notrack", match(workloads, "src"), notrack, "answers in the name of a workload"),
    rule("reply-guard-notrack", match(guarded, "src"), notrack, "also where it is not captured"),
  ];
}
