import { excluded } from "./decision.ts";
import { type DraftRule, jump, NOT_SYN, type Parts, rule, SYN } from "./drafts.ts";
import type { Family } from "./plan.ts";
import { type CaptureSpec, markText, setNames } from "./spec.ts";

const RESET = "-j REJECT --reject-with tcp-reset";

/** Captured connections end on this host, so its firewall must let them in; what passes them by is refused. */
export function filterParts(spec: CaptureSpec, family: Family): Parts {
  const isTransparent = spec.mode === "tproxy";
  const marked = `-m mark --mark ${markText(spec.mark)}`;
  const accept = isTransparent
    ? [rule("input", marked, "-j ACCEPT", "captured connections reach the daemon")]
    : redirected(spec, family);
  return {
    chains: [
      { table: "filter", name: "HOSTMESH_INPUT", rules: accept },
      { table: "filter", name: "HOSTMESH_FORWARD", rules: forwarded(spec, family) },
    ],
    jumps: [
      jump("filter", "INPUT", isTransparent ? marked : "-p tcp"),
      jump("filter", "FORWARD", "-p tcp"),
    ],
  };
}

function redirected(spec: CaptureSpec, family: Family): DraftRule[] {
  const { workloads } = setNames(family);
  const match = (port: number, from: string) =>
    `-p tcp -m tcp --dport ${port} -m set ${from} src -m conntrack --ctstate DNAT`;
  const own = match(spec.outboundPort, `--match-set ${workloads}`);
  const outside = match(spec.inboundPort, `! --match-set ${workloads}`);
  return [
    rule("input", own, "-j ACCEPT", "captured connections reach the daemon"),
    rule("input-in", outside, "-j ACCEPT", "and those from outside"),
  ];
}

/**
 * A connection to a guarded workload ends at the daemon. One that is forwarded was addressed to something else
 * when the decision fell, and led here by somebody's DNAT (a published port, a node port), or it was open before
 * the workload was guarded: nobody would judge it. Answers to what the workload itself has opened pass.
 */
function forwarded(spec: CaptureSpec, family: Family): DraftRule[] {
  const { guarded, alive } = setNames(family);
  const isClosed = spec.onDeath === "closed";
  const refused = `${SYN} -m mark --mark ${markText(spec.mark + 1)}`;
  const living = isClosed ? "-p tcp" : `-p tcp -m set --match-set ${alive} src`;
  return [
    ...(isClosed ? [rule("refuse", refused, RESET, "daemon dead: refused at once")] : []),
    rule("unguarded", `-m set ! --match-set ${guarded} dst`, "-j RETURN", "to nobody guarded"),
    rule("answers", `${NOT_SYN} -m conntrack --ctdir REPLY`, "-j RETURN", "answers to a workload"),
    ...excluded(spec, family),
    rule("bypass", living, RESET, "to a guarded workload, past the daemon"),
  ];
}
