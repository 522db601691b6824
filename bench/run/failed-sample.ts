import type { Sample, Workload } from "../model.ts";

/** A measurement that came to nothing, and why. */
export function failedSample(
  contestant: string,
  workload: Workload,
  round: number,
  problem: string,
): Sample {
  return {
    ...{ contestant, workload, round, problems: [problem] },
    load: {
      ...{ requests: 0, bodyBytes: 0, seconds: 0, errors: {}, histogram: "" },
      ...{ lateP99Micros: null, cpuMs: 0, connectionsOpened: 0 },
    },
    ...{ cpu: null, contextSwitches: null, pssBytes: null, rssBytes: null },
    ...{ openConnections: null, handshakes: null },
    ...{ loadBusy: null, proxyBusy: null, foreignShare: null, isCpuShared: false },
    bottleneck: "unknown",
  };
}
