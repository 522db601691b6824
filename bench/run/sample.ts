import type { Site } from "../lib/site.ts";
import type { Workbench } from "../lib/workbench.ts";
import { runLoad } from "../load/run-load.ts";
import { countConnections } from "../measure/connections.ts";
import { readMemory, treePids } from "../measure/process-reading.ts";
import { TlsWatch } from "../measure/tls-watch.ts";
import type { Contestant, LoadJob, LoadResult, Sample, Workload } from "../model.ts";
import type { Upstream } from "../upstream/start-upstream.ts";
import { type Moment, readMoment } from "./moment.ts";
import { type Seen, toSample } from "./to-sample.ts";

/** Where measurements are taken, and how. */
export interface Lab {
  readonly bench: Workbench;
  readonly site: Site;
  readonly upstream: Upstream;
  /** Counted time of a measurement. */
  readonly seconds: number;
  /** Load before it: connections open, and the generator's own code gets compiled. */
  readonly settleSeconds: number;
  readonly vary: boolean;
  /** Workers or threads of each proxy. */
  readonly workers: number;
}

/** Where a warm-up ends: the generator needs a counted time, which nobody looks at. */
const LEAST_SECONDS = 0.1;

function jobOf(lab: Lab, contestant: Contestant, workload: Workload): LoadJob {
  const { protocol, connections, streams, call, messages, bodyBytes, rate } = workload;
  const { targets } = contestant;
  const { seconds, settleSeconds: warmUpSeconds, vary } = lab;
  const load = { protocol, targets, connections, streams, call, messages, bodyBytes, rate };
  return { ...load, vary, seconds, warmUpSeconds };
}

/** Load on a contestant that nobody counts. Rejects where it does not answer at all. */
export async function warmUp(
  lab: Lab,
  contestant: Contestant,
  workload: Workload,
  seconds: number,
): Promise<void> {
  const job = {
    ...jobOf(lab, contestant, workload),
    warmUpSeconds: Math.max(0, seconds - LEAST_SECONDS),
    seconds: LEAST_SECONDS,
  };
  const nothing = { counting: () => undefined, counted: () => undefined };
  await runLoad(lab.bench, lab.site, job, nothing);
}

/** One measurement. Rejects where a process has ended or the load could not be run. */
export async function takeSample(
  lab: Lab,
  contestant: Contestant,
  workload: Workload,
  round: number,
): Promise<Sample> {
  const roots = contestant.proxies.map(({ pid }) => pid);
  const pidsBefore = await treePids(roots);
  const watcher = new Watcher(lab, contestant, pidsBefore);
  const load = await runLoad(lab.bench, lab.site, jobOf(lab, contestant, workload), watcher);
  const seen = await watcher.seen(load);
  return toSample({ contestant, workload, round, site: lab.site, workers: lab.workers }, seen);
}

/** Looks at the proxies under load, and when the counted time begins and ends; not in between. */
class Watcher {
  readonly #lab: Lab;
  readonly #contestant: Contestant;
  readonly #pids: readonly number[];
  readonly #namespaces: readonly number[];
  #before: Moment | null = null;
  #after: Moment | null = null;
  #watches: { readonly tls: TlsWatch; readonly upstream: TlsWatch } | null = null;
  #openConnections: number | null = null;
  #end: Pick<Seen, "memory" | "pidsAfter"> | null = null;

  constructor(lab: Lab, contestant: Contestant, pids: readonly number[]) {
    this.#lab = lab;
    this.#contestant = contestant;
    this.#pids = pids;
    const ofHost = new Map(contestant.proxies.map(({ host, pid }) => [host, pid]));
    this.#namespaces = [...ofHost.values()];
  }

  get #roots(): number[] {
    return this.#contestant.proxies.map(({ pid }) => pid);
  }

  async loaded(): Promise<void> {
    const roots = this.#roots;
    if (roots.length === 0) return;
    this.#openConnections = await countConnections(roots);
    const ports = this.#lab.upstream.services.map(({ port }) => port);
    this.#watches = {
      tls: await TlsWatch.begin(this.#contestant.tlsPorts, this.#namespaces),
      upstream: await TlsWatch.begin(ports, this.#namespaces),
    };
  }

  counting(): void {
    this.#before = this.#moment();
  }

  async counted(): Promise<void> {
    this.#after = this.#moment();
    const memoryOf = (host: "a" | "b") =>
      readMemory(this.#contestant.proxies.filter((one) => one.host === host).map(({ pid }) => pid));
    const pidsAfter = await treePids(this.#roots);
    this.#end = { pidsAfter, memory: { a: await memoryOf("a"), b: await memoryOf("b") } };
  }

  async seen(load: LoadResult): Promise<Seen> {
    const [before, after, end] = [this.#before, this.#after, this.#end];
    if (before === null || after === null || end === null) {
      throw new Error("the load generator did not tell when it counted");
    }
    const openConnections = this.#openConnections;
    const tls = (await this.#watches?.tls.end()) ?? 0;
    const upstreamOpens = (await this.#watches?.upstream.end()) ?? 0;
    const { upstream } = this.#lab;
    const pids = { proxies: this.#pids, upstream: upstream.pid };
    return { load, before, after, pids, openConnections, tls, upstreamOpens, ...end };
  }

  #moment(): Moment {
    return readMoment([...this.#pids, this.#lab.upstream.pid], this.#namespaces);
  }
}
