import { createHash } from "node:crypto";
import type { DraftChain } from "./drafts.ts";
import { earlyRedirect } from "./early-redirect.ts";
import { filterParts } from "./filter.ts";
import {
  type Family,
  type FamilyPlan,
  type Plan,
  ROUTE_PROTOCOL,
  type RoutingPlan,
  RULE_PRIORITY,
  type SetDefinition,
} from "./plan.ts";
import { redirectParts } from "./redirect.ts";
import { type CaptureSpec, markText, setNames, validateSpec } from "./spec.ts";
import { tproxyParts } from "./tproxy.ts";

/** Workloads per family; four times the default limit of local workloads. */
const MAX_WORKLOADS = 65_536;

/** What of a host's state the plan depends on. */
export interface Surroundings {
  /** kube-proxy runs in its mode nftables. */
  readonly hasNftKubeProxy: boolean;
}

/**
 * Turns a spec into everything that has to exist in the kernel. Pure: the same spec gives the same plan.
 * Why each rule is there and in this order: docs/capture.md.
 * @throws RangeError naming the field where the spec cannot be expressed as rules.
 */
export function buildPlan(
  spec: CaptureSpec,
  { hasNftKubeProxy }: Surroundings = { hasNftKubeProxy: false },
): Plan {
  validateSpec(spec);
  const families: Family[] = spec.ipv6 ? [4, 6] : [4];
  const isEarly = spec.mode === "redirect" && hasNftKubeProxy;
  const drafts = families.map((family) => familyDraft(spec, family, isEarly));
  const hash = createHash("sha256").update(JSON.stringify(drafts)).digest("hex").slice(0, 8);
  const stamped = drafts.map((draft) => stamp(draft, hash));
  if (!isEarly) return { hash, families: stamped };
  return {
    hash,
    families: stamped.map((one) => ({ ...one, early: earlyRedirect(spec, one.family, hash) })),
  };
}

type Draft = Omit<FamilyPlan, "chains"> & { readonly chains: readonly DraftChain[] };

function familyDraft(spec: CaptureSpec, family: Family, isEarly: boolean): Draft {
  const parts =
    spec.mode === "tproxy" ? tproxyParts(spec, family) : redirectParts(spec, family, isEarly);
  const filter = filterParts(spec, family);
  return {
    family,
    chains: [...filter.chains, ...parts.chains],
    jumps: [...filter.jumps, ...parts.jumps],
    sets: setDefinitions(family),
    routing: spec.mode === "tproxy" ? routing(spec, family) : null,
    early: null,
  };
}

function setDefinitions(family: Family): SetDefinition[] {
  const names = setNames(family);
  const inet = family === 4 ? "inet" : "inet6";
  const byAddress = `hash:ip family ${inet} maxelem ${MAX_WORKLOADS}`;
  return [
    { name: names.workloads, type: byAddress, purpose: "addresses of local workloads" },
    {
      name: names.guarded,
      type: byAddress,
      purpose: "local workloads to which plaintext from outside is captured too",
    },
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
