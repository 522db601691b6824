import type { Pins } from "../lib/pins.ts";
import { busyShares, placesOf } from "../measure/cpu-shares.ts";
import type { Memory } from "../measure/process-reading.ts";
import type { Contestant, LoadResult, Sample, Workload } from "../model.ts";
import { judgeBottleneck } from "./judge.ts";
import { type Moment, used } from "./moment.ts";

/** Whose measurement it is. */
export interface Subject {
  readonly contestant: Contestant;
  readonly workload: Workload;
  readonly round: number;
  readonly site: Pick<Pins, "proxyCpus" | "ownCpus" | "loadCpus" | "upstreamCpus">;
  readonly workers: number;
}

/** Everything that was seen in the course of one measurement. */
export interface Seen {
  readonly load: LoadResult;
  readonly before: Moment;
  readonly after: Moment;
  /** Of the time before the load; the proxies' with all their descendants. */
  readonly pids: { readonly proxies: readonly number[]; readonly upstream: number };
  /** The proxies' after the load. */
  readonly pidsAfter: readonly number[];
  readonly memory: { readonly a: Memory; readonly b: Memory };
  readonly openConnections: number | null;
  /** Connections that came up on the proxies' TLS ports, and on the upstream's ports. */
  readonly tls: number;
  readonly upstreamOpens: number;
}

/** Makes a sample of what was seen, and says what is wrong with it. */
export function toSample(subject: Subject, seen: Seen): Sample {
  const { contestant, workload, round, site } = subject;
  const { load, before, after, pids, memory } = seen;
  const isDirect = contestant.proxies.length === 0;
  const own = used(pids.proxies, before, after);
  const proxiesMs = own.userMs + own.systemMs;
  const places = placesOf(site, contestant.proxies.length);
  const upstream = used([pids.upstream], before, after);
  const besideMs =
    (places.isLoadBeside ? load.cpuMs : 0) +
    (places.isUpstreamBeside ? upstream.userMs + upstream.systemMs : 0);
  const shares = busyShares(places, before.clock, after.clock, proxiesMs + besideMs);
  // A connection within a namespace counts at both of its ends; those of load and upstream are not the proxies'.
  const tcp = after.tcpOpens - before.tcpOpens - load.connectionsOpened - seen.upstreamOpens;
  return {
    ...{ contestant: contestant.name, workload, round, load },
    cpu: isDirect ? null : { userMs: own.userMs, systemMs: own.systemMs },
    contextSwitches: isDirect ? null : own.contextSwitches,
    pssBytes: isDirect ? null : { a: memory.a.pssBytes, b: memory.b.pssBytes },
    rssBytes: isDirect ? null : { a: memory.a.rssBytes, b: memory.b.rssBytes },
    openConnections: isDirect ? null : seen.openConnections,
    handshakes: isDirect ? null : { tcp: Math.max(0, tcp), tls: seen.tls },
    ...shares,
    isCpuShared: places.isLoadBeside || places.isUpstreamBeside,
    bottleneck: bottleneckOf(subject, seen, shares),
    problems: problemsOf(subject, seen),
  };
}

function bottleneckOf(
  { contestant, workload, workers }: Subject,
  { load, before, after, pids }: Seen,
  shares: Pick<Sample, "loadBusy" | "proxyBusy">,
): Sample["bottleneck"] {
  const elapsedMs = after.clock.atMs - before.clock.atMs;
  const cores = (of: readonly number[]) => {
    const { userMs, systemMs } = used(of, before, after);
    return (userMs + systemMs) / elapsedMs;
  };
  const busiest =
    contestant.proxies.length === 0 ? 0 : Math.max(...pids.proxies.map((pid) => cores([pid])));
  return judgeBottleneck({
    rate: workload.rate,
    throughput: load.requests / load.seconds,
    lateP99Ms: load.lateP99Micros === null ? null : load.lateP99Micros / 1e3,
    generatorCores: load.cpuMs / 1e3 / load.seconds,
    upstreamCores: cores([pids.upstream]),
    proxyCores: busiest / workers,
    loadBusy: shares.loadBusy,
    proxyBusy: shares.proxyBusy,
  });
}

function problemsOf({ workload }: Subject, { load, pids, pidsAfter }: Seen): string[] {
  const problems = Object.entries(load.errors)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} × ${kind}`);
  if (load.requests === 0) problems.push("no request was completed");
  const expectedBytes = load.requests * workload.bodyBytes * workload.messages;
  if (load.bodyBytes !== expectedBytes) {
    problems.push(`${load.bodyBytes} bytes of bodies came instead of ${expectedBytes}`);
  }
  if (pids.proxies.join() !== pidsAfter.join()) {
    problems.push("processes of the proxies began or ended meanwhile");
  }
  return problems;
}
