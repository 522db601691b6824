import { UsageError } from "../lib/bench-error.ts";
import type { Contestant } from "../model.ts";

type Candidate = Pick<Contestant, "name" | "peer" | "mode" | "between">;

/**
 * From the fairest on. A pair that shares few encrypted connections by HTTP/2 is what the best meshes with sidecars do,
 * and HAProxy is the leanest program that does it; without pairs, it is one hop against another.
 */
const PREFERRED: readonly (readonly [Contestant["peer"], Contestant["mode"]])[] = [
  ["haproxy", "sidecar"],
  ["nginx", "sidecar"],
  ["envoy", "sidecar"],
  ["haproxy", "host"],
  ["nginx", "host"],
  ["envoy", "host"],
  ["hostmesh", "sidecar"],
];
const BETWEEN: readonly Contestant["between"][] = [
  ...(["mtls-http2", "mtls-tcp", "mtls-http1", "plain", "none"] as const),
];

/** The contestant that ratios refer to; null where there is nothing to compare with. Throws a UsageError for a name that is not there. */
export function chooseBaseline(
  contestants: readonly Candidate[],
  asked: string | null,
): string | null {
  if (asked !== null) {
    const found = contestants.find(({ name }) => name.toLowerCase() === asked.toLowerCase());
    if (found !== undefined) return found.name;
    const names = contestants.map(({ name }) => `"${name}"`).join(", ");
    throw new UsageError(`--baseline "${asked}" is not among the contestants: ${names}`);
  }
  for (const [peer, mode] of PREFERRED) {
    for (const between of BETWEEN) {
      const isIt = (one: Candidate) =>
        one.peer === peer && one.mode === mode && one.between === between;
      const found = contestants.find(isIt);
      if (found !== undefined) return found.name;
    }
  }
  return null;
}
