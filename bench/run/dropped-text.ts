import { formatBody } from "../result/workload-label.ts";
import type { Dropped } from "./rounds.ts";

/** As `envoy in round 2 with 115 B: reason; it was not measured any more`. */
export function droppedText({ contestant, workload, round, reason }: Dropped): string {
  const when = round === null ? "when it was warmed" : `in round ${round + 1}`;
  const what = formatBody(workload.bodyBytes);
  return `${contestant} ${when} with ${what}: ${reason}; it was not measured any more`;
}
