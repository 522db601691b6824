import { Crew } from "../contestants/crew.ts";
import { UNARY } from "../h2/request.ts";
import { holdConnections } from "../idle/hold.ts";
import type { Site } from "../lib/site.ts";
import { Workbench } from "../lib/workbench.ts";
import type { Contestant, HttpProtocol, Missing, Sample, ScaleRow, Workload } from "../model.ts";
import { measureRounds } from "../run/rounds.ts";
import { startUpstream } from "../upstream/start-upstream.ts";
import { loadOf, pointName, type ScalePoint } from "./scale-point.ts";
import { type Shared, type SharedLab, takeSharedSample, warmUntilSteady } from "./shared-sample.ts";
import { type Found, startShared } from "./start-shared.ts";
import { toRow } from "./to-row.ts";

export interface PointOptions {
  /** Counted time of each measurement, and the load before it. */
  readonly seconds: number;
  readonly settleSeconds: number;
  readonly repeat: number;
  readonly protocol: HttpProtocol;
  /** Longest warm-up of a proxy. */
  readonly warmUpSeconds: number;
}

export interface PointContext {
  readonly site: Site;
  readonly signal: AbortSignal;
  readonly configFolder: string;
  readonly onProgress: (line: string) => void;
}

export interface MeasuredPoint {
  readonly rows: readonly ScaleRow[];
  readonly missing: readonly Missing[];
}

const BODY_BYTES = 115;

/** Starts everybody with what the point asks for, measures them in turn, and ends all of it. */
export async function measurePoint(
  context: PointContext,
  point: ScalePoint,
  found: readonly Found[],
  options: PointOptions,
): Promise<MeasuredPoint> {
  const { site, signal, onProgress } = context;
  const bench = await Workbench.open(signal);
  try {
    const started = new Map<string, Shared>();
    const missing: Missing[] = [];
    for (const one of found) {
      onProgress(`${pointName(point)}: starting ${one.peer}`);
      const shared = await tryToStart(context, bench, {
        point,
        protocol: options.protocol,
        found: one,
      });
      if ("reason" in shared) missing.push(shared);
      else started.set(shared.contestant.name, shared);
    }
    const { samples, dropped } = await rounds(context, bench, { point, started, options, site });
    for (const { contestant, reason } of dropped) {
      missing.push({ name: `${contestant} with ${pointName(point)}`, reason });
    }
    signal.throwIfAborted();
    const rows = [...started.keys()].flatMap((name) => {
      const row = toRow(
        point,
        options.protocol,
        samples.filter(({ contestant }) => contestant === name),
      );
      return row === null ? [] : [row];
    });
    return { rows, missing };
  } finally {
    await bench.close();
  }
}

/** Each has an upstream of its own, so that all of them can have a connection to each of its addresses. */
async function tryToStart(
  { site, configFolder, signal }: PointContext,
  bench: Workbench,
  given: {
    readonly point: ScalePoint;
    readonly protocol: HttpProtocol;
    readonly found: Found;
  },
): Promise<Shared | Missing> {
  const { point, protocol, found } = given;
  const name = `${found.peer} with ${pointName(point)}`;
  try {
    const { services: count, endpointsEach: addressesPerService } = point;
    const upstream = await startUpstream(bench, site, { services: count, addressesPerService });
    const services = upstream.services.map(({ port, addresses }, at) => ({
      name: `web-${at}`,
      endpoints: addresses.map((host) => ({ host, port })),
    }));
    const crew = await Crew.open({ bench, site, name, configFolder });
    const { called, active, idle, workers } = point;
    const load = { services, called, active, idle, workers, protocol };
    const contestant = await startShared(crew, found, load);
    const [target] = contestant.targets;
    if (target !== undefined)
      await holdConnections(bench, site, target, { connections: idle, protocol });
    return { contestant, upstreamPid: upstream.pid };
  } catch (error) {
    signal.throwIfAborted();
    return { name, reason: error instanceof Error ? error.message : String(error) };
  }
}

function rounds(
  { signal, onProgress }: PointContext,
  bench: Workbench,
  given: {
    readonly site: Site;
    readonly point: ScalePoint;
    readonly started: ReadonlyMap<string, Shared>;
    readonly options: PointOptions;
  },
) {
  const { point, started, options, site } = given;
  const { active, called: services, workers } = point;
  const { protocol } = options;
  const workload: Workload = {
    ...{ protocol, bodyBytes: BODY_BYTES, rate: null, ...loadOf(protocol, active), services },
    ...UNARY,
  };
  const { seconds, settleSeconds, repeat, warmUpSeconds: mostSeconds } = options;
  const lab: SharedLab = { bench, site, workload, workers, seconds, settleSeconds };
  const sharedOf = ({ name }: Contestant): Shared => {
    const shared = started.get(name);
    if (shared === undefined) throw new Error(`${name} was not started`);
    return shared;
  };
  const places = services * point.endpointsEach;
  return measureRounds({
    ...{ contestants: [...started.values()].map(({ contestant }) => contestant), repeat, signal },
    workloads: [workload],
    warmUp: async (contestant) => {
      onProgress(`${pointName(point)}: warming ${contestant.name}`);
      await warmUntilSteady(lab, sharedOf(contestant), { places, mostSeconds });
    },
    take: (contestant, _workload, round) => {
      onProgress(`${pointName(point)}: ${contestant.name}, round ${round + 1}/${repeat}`);
      return takeSharedSample(lab, sharedOf(contestant), round);
    },
    onSample: (sample: Sample) => {
      for (const problem of sample.problems) {
        onProgress(`${pointName(point)}: ${sample.contestant}: ${problem}`);
      }
    },
    onDropped: ({ contestant, reason }) =>
      onProgress(`${pointName(point)}: FAILED: ${contestant}: ${reason}`),
  });
}
