import { bystanders, excluded, forged } from "./decision.ts";
import { type DraftChain, type DraftRule, jump, type Parts, rule } from "./drafts.ts";
import type { Family } from "./plan.ts";
import { type CaptureSpec, markText, setNames } from "./spec.ts";

/** The decision falls in nat, once per connection; conntrack keeps to it. */
export function redirectParts(spec: CaptureSpec, family: Family): Parts {
  const alive = `-p tcp -m set --match-set ${setNames(family).alive} src`;
  const to = (id: string, port: number) =>
    rule(id, alive, `-j REDIRECT --to-ports ${port}`, "new, and daemon alive: to its socket");
  const decide = [
    ...bystanders(spec, family),
    to("alive", spec.outboundPort),
    ...refused(spec, "dead"),
  ];
  const enter = [
    ...excluded(spec, family),
    to("in-alive", spec.inboundPort),
    ...refused(spec, "in-dead"),
  ];
  const chains: DraftChain[] = [
    { table: "nat", name: "HOSTMESH_INBOUND", rules: enter },
    { table: "nat", name: "HOSTMESH_PREROUTING", rules: decide },
  ];
  const jumps = [jump("nat", "PREROUTING", "! -i lo -p tcp")];
  if (spec.verifySource) {
    chains.push({ table: "raw", name: "HOSTMESH_PREROUTING", rules: forged(spec, family) });
    jumps.push(jump("raw", "PREROUTING", "! -i lo -p tcp"));
  }
  return { chains, jumps };
}

function refused(spec: CaptureSpec, id: string): DraftRule[] {
  if (spec.onDeath !== "closed") return [];
  const mark = `-j MARK --set-xmark ${markText(spec.mark + 1)}`;
  return [
    rule(`${id}-mark`, "", mark, "new, and daemon dead"),
    rule(`${id}-stop`, "", "-j ACCEPT", "no other NAT for what is refused"),
  ];
}
