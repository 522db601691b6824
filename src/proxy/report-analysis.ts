import type { DataService } from "../core/snapshot.ts";
import type { Plane } from "./plane.ts";
import type { OutlierGroup } from "./upstream/balance/outlier.ts";

/** Reports the endpoints that the analysis of an interval ejects; one worker does it, once an interval. */
export function reportAnalysis(
  { outlier, recorder }: Plane,
  service: DataService,
  group: OutlierGroup,
  nowMs: number,
): void {
  for (const endpoint of outlier.analyse(group, nowMs)) recorder.ejection(service, endpoint);
}
