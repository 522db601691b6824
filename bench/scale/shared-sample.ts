import type { Site } from "../lib/site.ts";
import type { Workbench } from "../lib/workbench.ts";
import { runLoad } from "../load/run-load.ts";
import { readMemory, treePids } from "../measure/process-reading.ts";
import type { Contestant, LoadJob, LoadResult, Sample, Workload } from "../model.ts";
import { type Moment, readMoment } from "../run/moment.ts";
import { rotated } from "../run/rounds.ts";
import { toSample } from "../run/to-sample.ts";

/** One contestant of a point, with the upstream that is its own. */
export interface Shared {
  readonly contestant: Contestant;
  /** A process of its own, since a process has a limit of open files. */
  readonly upstreamPid: number;
}

export interface SharedLab {
  readonly bench: Workbench;
  readonly site: Site;
  readonly workload: Workload;
  readonly workers: number;
  /** Counted time of a measurement, and the load before it. */
  readonly seconds: number;
  readonly settleSeconds: number;
}

/** From this share of the requests on, opening connections to servers is part of what was measured. */
const MOST_OPENED = 0.01;

/**
 * One measurement of a shared proxy. Beside what is wrong with any sample it is a problem where the proxy was still
 * opening connections to servers: that is another cost than the one that is asked for.
 */
export async function takeSharedSample(
  lab: SharedLab,
  { contestant, upstreamPid }: Shared,
  round: number,
): Promise<Sample> {
  const { bench, site, workload, workers } = lab;
  const roots = contestant.proxies.map(({ pid }) => pid);
  const pids = { proxies: await treePids(roots), upstream: upstreamPid };
  const moment = () => readMoment([...pids.proxies, upstreamPid], [upstreamPid]);
  const seen: { before?: Moment; after?: Moment } = {};
  const first = Math.floor(Math.random() * contestant.targets.length);
  const load = await runLoad(bench, site, jobOf(lab, contestant, first), {
    counting: () => {
      seen.before = moment();
    },
    counted: () => {
      seen.after = moment();
    },
  });
  const { before, after } = seen;
  if (before === undefined || after === undefined) {
    throw new Error("the load generator did not tell when it counted");
  }
  const nothing = { pssBytes: 0, rssBytes: 0, pids: [] };
  const rest = {
    ...{ pids, pidsAfter: await treePids(roots), openConnections: null, tls: 0, upstreamOpens: 0 },
    memory: { a: await readMemory(roots), b: nothing },
  };
  const sample = toSample(
    { contestant, workload, round, site, workers },
    { load, before, after, ...rest },
  );
  const unsteady = openedProblem(openedBetween(before, after, load), load.requests);
  return unsteady === null ? sample : { ...sample, problems: [...sample.problems, unsteady] };
}

/**
 * The generator asks the services in turn and begins with the first. So each run begins with another one: else a run that
 * is shorter than a whole turn would always ask the same ones.
 */
function jobOf(lab: SharedLab, contestant: Contestant, first: number): LoadJob {
  const { workload, seconds, settleSeconds } = lab;
  const { protocol, connections, streams, bodyBytes, rate } = workload;
  const targets = rotated(contestant.targets, first);
  return {
    ...{ protocol, targets, connections, streams, bodyBytes, rate, seconds },
    ...{ warmUpSeconds: settleSeconds, vary: false },
  };
}

/** Each connection within the host counts at both of its ends, those of the load to the proxy, too. */
function openedBetween(before: Moment, after: Moment, load: LoadResult): number {
  const ends = after.tcpOpens - before.tcpOpens - 2 * load.connectionsOpened;
  return Math.max(0, Math.round(ends / 2));
}

function openedProblem(opened: number, requests: number): string | null {
  if (opened <= requests * MOST_OPENED) return null;
  return `${opened} connections were opened for ${requests} requests: no steady state`;
}

/**
 * Load until the proxy has compiled what is hot and has a connection to every server, which is when it opens hardly any
 * more; at most for `mostSeconds`. Everything is asked for at least three times.
 */
export async function warmUntilSteady(
  lab: SharedLab,
  { contestant, upstreamPid }: Shared,
  { places, mostSeconds }: { readonly places: number; readonly mostSeconds: number },
): Promise<void> {
  const chunk = { ...lab, seconds: CHUNK_SECONDS, settleSeconds: 0.1 };
  // Also where the next run goes on in the turn of the services.
  let requests = 0;
  for (let seconds = 0; seconds < mostSeconds; seconds += CHUNK_SECONDS) {
    const seen: Moment[] = [];
    const look = () => void seen.push(readMoment([], [upstreamPid]));
    const load = await runLoad(lab.bench, lab.site, jobOf(chunk, contestant, requests), {
      counting: look,
      counted: look,
    });
    requests += load.requests;
    const [before, after] = seen;
    if (before === undefined || after === undefined) continue;
    const isSteady = openedBetween(before, after, load) <= load.requests * (MOST_OPENED / 4);
    const isWarm = seconds + CHUNK_SECONDS >= Math.min(contestant.warmUpSeconds, mostSeconds);
    if (isSteady && isWarm && requests >= 3 * places) return;
  }
}

const CHUNK_SECONDS = 1;
