import type { Field } from "../contestants/start-field.ts";
import { startField } from "../contestants/start-field.ts";
import type { Site } from "../lib/site.ts";
import { Workbench } from "../lib/workbench.ts";
import type { Contestant, Missing, Mode, Sample, Workload } from "../model.ts";
import { workloadLabel } from "../result/workload-label.ts";
import { startUpstream, type Upstream } from "../upstream/start-upstream.ts";
import { chooseBaseline } from "./baseline.ts";
import { droppedText } from "./dropped-text.ts";
import type { BenchOptions } from "./options.ts";
import { pinSelf } from "./pin-self.ts";
import type { Progress } from "./progress.ts";
import { type Dropped, measureRounds } from "./rounds.ts";
import { type Lab, takeSample, warmUp } from "./sample.ts";
import { sampleLine } from "./sample-line.ts";
import { formatSeconds, TimeLeft } from "./time-left.ts";
import { uniqueMissing } from "./unique-missing.ts";

/** What came of measuring the matrix of calls. */
export interface Calls {
  readonly contestants: readonly Contestant[];
  readonly missing: readonly Missing[];
  readonly baseline: string | null;
  readonly samples: readonly Sample[];
  readonly dropped: readonly Dropped[];
  /** False where it was broken off. */
  readonly isComplete: boolean;
}

export interface CallsContext {
  readonly options: BenchOptions;
  readonly site: Site;
  readonly configFolder: string;
  readonly progress: Progress;
  readonly color: boolean;
  readonly signal: AbortSignal;
}

/** Load on a contestant before each counted time, seconds; and where the body or the rate changes. */
const SETTLE = { seconds: 1, quickSeconds: 0.2 };
const CHANGE = { seconds: 1, quickSeconds: 0 };
/** Warm-up in a quick run: of who compiles what is hot; the others get their connections when each sample settles. */
const QUICK_WARM_UP = { fromSeconds: 2, seconds: 2, othersSeconds: 0 };
/** What starting the generator and reading the proxies takes besides. */
const OVERHEAD_SECONDS = 0.5;

/** Starts upstream and contestants, measures them, and ends all of it. */
export async function measureCalls(context: CallsContext): Promise<Calls> {
  const { options, site, progress, signal } = context;
  const unpin = await pinSelf(site.loadCpus);
  const bench = await Workbench.open(signal).catch(async (error) => {
    await unpin();
    throw error;
  });
  try {
    progress.now(() => "starting the upstream");
    const upstream = await startUpstream(bench, site, { services: options.services });
    progress.now(() => "starting the contestants");
    const field = await startEverybody(context, bench, upstream.services);
    const baseline = chooseBaseline(field.contestants, options.baseline);
    const lab: Lab = {
      ...{ bench, site, upstream, seconds: options.seconds, vary: options.vary },
      workers: options.workers,
      settleSeconds: options.quick ? SETTLE.quickSeconds : SETTLE.seconds,
    };
    const workloads = workloadsOf(options);
    announce(context, field, workloads, baseline);
    const measured = await measureRounds({
      ...{ contestants: field.contestants, workloads, repeat: options.repeat, signal },
      ...reporting(context, field, workloads, lab),
    });
    return { ...field, baseline, ...measured };
  } finally {
    progress.now(() => "ending everything");
    await bench.close();
    await unpin();
    progress.now(null);
  }
}

/** With both ways of TLS everybody in clear text, and then the pairs with TLS: only they differ. */
async function startEverybody(
  { options, site, configFolder }: CallsContext,
  bench: Workbench,
  upstreams: Upstream["services"],
): Promise<Field> {
  const { modes, peers, protocol, call, messages, tls, workers, envoyBinary } = options;
  const start = (isTls: boolean, theirModes: readonly Mode[]) =>
    startField(bench, site, {
      ...{ modes: theirModes, tls: isTls, peers, protocol, workers, envoyBinary },
      shape: { call, messages },
      // Where a proxy translates, or shares no connection, each request has one to itself.
      ...{ upstreams, configFolder, connections: options.connections * options.streams },
    });
  const first = await start(tls === "on", modes);
  if (tls !== "both" || !modes.includes("sidecar")) return first;
  const second = await start(true, ["sidecar"]);
  return {
    contestants: [...first.contestants, ...second.contestants],
    missing: uniqueMissing([...first.missing, ...second.missing]),
  };
}

/** Each body with each rate. */
export function workloadsOf(options: BenchOptions): Workload[] {
  const { protocol, connections, streams, call, messages, services } = options;
  const all = { protocol, connections, streams, call, messages, services };
  return options.bodies.flatMap((bodyBytes) =>
    options.rates.map((rate) => ({ ...all, bodyBytes, rate })),
  );
}

function warmUpSeconds(options: BenchOptions, contestant: Contestant, isFirst: boolean): number {
  if (!isFirst) return options.quick ? CHANGE.quickSeconds : CHANGE.seconds;
  const { warmUpSeconds } = contestant;
  if (!options.quick) return warmUpSeconds;
  const { fromSeconds, seconds, othersSeconds } = QUICK_WARM_UP;
  return warmUpSeconds >= fromSeconds ? seconds : othersSeconds;
}

function withOverhead(seconds: number): number {
  return seconds === 0 ? 0 : seconds + OVERHEAD_SECONDS;
}

function plannedSeconds(
  options: BenchOptions,
  contestants: readonly Contestant[],
  workloads: number,
  sampleSeconds: number,
): number {
  return contestants.reduce((sum, contestant) => {
    const [first = 0, later = 0] = [true, false].map((isFirst) =>
      withOverhead(warmUpSeconds(options, contestant, isFirst)),
    );
    return sum + first + later * (workloads - 1) + workloads * options.repeat * sampleSeconds;
  }, 0);
}

function announce(
  { options, site, progress }: CallsContext,
  { contestants, missing }: Field,
  workloads: readonly Workload[],
  baseline: string | null,
): void {
  progress.line(site.note);
  for (const { name, version } of contestants) progress.line(`measured: ${name} (${version})`);
  for (const { name, reason } of missing) progress.line(`NOT MEASURED: ${name}: ${reason}`);
  for (const workload of workloads) progress.line(`load: ${workloadLabel(workload)}`);
  if (baseline !== null) progress.line(`ratios refer to: ${baseline}`);
  const settle = options.quick ? SETTLE.quickSeconds : SETTLE.seconds;
  const each = options.seconds + settle + OVERHEAD_SECONDS;
  const planned = plannedSeconds(options, contestants, workloads.length, each);
  const hint = options.quick ? "" : "; --quick takes less than a minute";
  progress.line(`${options.repeat} rounds, about ${formatSeconds(planned)}${hint}`);
}

/** The work of the rounds, with what is shown of it. */
function reporting(
  { options, progress, color }: CallsContext,
  { contestants }: Field,
  workloads: readonly Workload[],
  lab: Lab,
) {
  const sampleSeconds = lab.seconds + lab.settleSeconds + OVERHEAD_SECONDS;
  const timeLeft = new TimeLeft(
    plannedSeconds(options, contestants, workloads.length, sampleSeconds),
  );
  const nameWidth = Math.max(...contestants.map(({ name }) => name.length));
  const total = contestants.length * workloads.length * options.repeat;
  let taken = 0;
  const show = (text: string) =>
    progress.now(() => `${text} · ${taken} of ${total} · ${formatSeconds(timeLeft.left())} left`);
  return {
    async warmUp(contestant: Contestant, workload: Workload, isFirst: boolean): Promise<void> {
      show(`warming ${contestant.name}`);
      const seconds = warmUpSeconds(options, contestant, isFirst);
      if (seconds === 0) return;
      await warmUp(lab, contestant, workload, seconds);
      timeLeft.done(seconds + OVERHEAD_SECONDS);
    },
    async take(contestant: Contestant, workload: Workload, round: number): Promise<Sample> {
      show(`round ${round + 1}/${options.repeat}, ${contestant.name}`);
      const sample = await takeSample(lab, contestant, workload, round);
      taken++;
      timeLeft.done(sampleSeconds);
      return sample;
    },
    onSample: (sample: Sample) =>
      progress.line(sampleLine(sample, options.repeat, nameWidth, color)),
    onDropped: (dropped: Dropped) => progress.line(`FAILED: ${droppedText(dropped)}`),
  };
}
