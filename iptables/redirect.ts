import { bystanders, excluded, forged } from "./decision.ts";
import { type DraftChain, type DraftRule, jump, type Parts, rule } from "./drafts.ts";
import { inboundMark } from "./early-redirect.ts";
import type { Family, Table } from "./plan.ts";
import { type CaptureSpec, markText, setNames } from "./spec.ts";

/**
 * The decision falls once per connection, and conntrack keeps to it: in nat, or, where nft redirects (`earlyRedirect`),
 * in mangle, before any nat; then it is a mark.
 */
export function redirectParts(spec: CaptureSpec, family: Family, isEarly: boolean): Parts {
  const verdicts = isEarly ? markVerdicts(spec, family) : natVerdicts(spec, family);
  const table: Table = isEarly ? "mangle" : "nat";
  const decide = [...bystanders(spec, family), ...verdicts(spec.outboundPort, "")];
  const enter = [...excluded(spec, family), ...verdicts(spec.inboundPort, "in-")];
  const chains: DraftChain[] = [
    { table, name: "HOSTMESH_INBOUND", rules: enter },
    { table, name: "HOSTMESH_PREROUTING", rules: decide },
  ];
  const jumps = [jump(table, "PREROUTING", "! -i lo -p tcp")];
  if (spec.verifySource) {
    chains.push({ table: "raw", name: "HOSTMESH_PREROUTING", rules: forged(spec, family) });
    jumps.push(jump("raw", "PREROUTING", "! -i lo -p tcp"));
  }
  return { chains, jumps };
}

type Verdicts = (port: number, prefix: "" | "in-") => DraftRule[];

function natVerdicts(spec: CaptureSpec, family: Family): Verdicts {
  const alive = `-p tcp -m set --match-set ${setNames(family).alive} src`;
  return (port, prefix) => [
    rule(
      `${prefix}alive`,
      alive,
      `-j REDIRECT --to-ports ${port}`,
      "new, and daemon alive: to its socket",
    ),
    ...refused(spec, `${prefix}dead`),
  ];
}

function refused(spec: CaptureSpec, id: string): DraftRule[] {
  if (spec.onDeath !== "closed") return [];
  const mark = `-j MARK --set-xmark ${markText(spec.mark + 1)}`;
  return [
    rule(`${id}-mark`, "", mark, "new, and daemon dead"),
    rule(`${id}-stop`, "", "-j ACCEPT", "no other NAT for what is refused"),
  ];
}

/** A mark does not end the chain: what is dead is marked first, and marked again where the daemon lives. */
function markVerdicts(spec: CaptureSpec, family: Family): Verdicts {
  const alive = `-p tcp -m set --match-set ${setNames(family).alive} src`;
  const mark = (value: number) => `-j MARK --set-xmark ${markText(value)}`;
  return (_port, prefix) => [
    ...(spec.onDeath === "closed"
      ? [rule(`${prefix}dead`, "", mark(spec.mark + 1), "new, unless the daemon lives")]
      : []),
    rule(
      `${prefix}alive`,
      alive,
      mark(prefix === "" ? spec.mark : inboundMark(spec)),
      "new, and daemon alive: nft redirects",
    ),
  ];
}
