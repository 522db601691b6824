import type { Contestant, LoadResult, Workload } from "../../bench/model.ts";

/** A contestant that is nowhere. */
export function contestant(given: Partial<Contestant>): Contestant {
  return {
    ...{ name: "hostmesh", peer: "hostmesh", mode: "host", between: "none", version: "1" },
    ...{ targets: [], proxies: [], tlsPorts: [], warmUpSeconds: 1, configFiles: [] },
    ...given,
  };
}

export const WORKLOAD: Workload = {
  ...{ protocol: "http1", bodyBytes: 115, connections: 64, streams: 1, rate: null, services: 1 },
  ...{ call: "unary", messages: 1 },
};

export function loadResult(given: Partial<LoadResult>): LoadResult {
  return {
    ...{ requests: 1_000, bodyBytes: 115_000, seconds: 1, errors: {}, histogram: "" },
    ...{ lateP99Micros: null, cpuMs: 300, connectionsOpened: 0 },
    ...given,
  };
}
