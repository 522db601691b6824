import { parseArgs } from "node:util";
import { textTable } from "../../src/core/text-table.ts";
import { pairedRatio, type Spread, spread } from "../lib/statistics.ts";
import type { LoadResult } from "../model.ts";
import { percentilesOf } from "../result/latency.ts";
import { FLOOD, MODEST, peerAddresses, Stage } from "./stage.ts";

/**
 * What a flood of one container costs another one in latency. The other one sends a modest rate, and the worker has no time
 * left in both cases: once for several containers with a few connections each, once for a single one with hundreds. The
 * total capacity is the same; all that differs is whose the load is.
 */
const USAGE = `node bench/fairness/main.ts [options]

  --rounds N       rounds, of which the median counts (default 5)
  --seconds N      of each measurement (default 3)
  --rate N         requests a second of the modest container, open loop (default 500)
  --flood N        connections of the flood, closed loop (default 300)
  --body N         bytes of the answers to the load (default 115)
  --peers N        well-behaved containers (default 8)
  --each N         connections of each of these, closed loop (default 4)
  --turn N         limits.turnRequests; 0: no scheduling (default: the setting's default)`;

const MODEST_CONNECTIONS = 8;
const MODEST_BYTES = 115;
/** The load goes on for so much longer than what is measured beside it: its start, and its connections. */
const MARGIN_SECONDS = 2.5;

const DEFAULTS = {
  ...{ rounds: 5, seconds: 3, rate: 500, flood: 300, body: 115, peers: 8, each: 4 },
  turn: -1,
};
type Options = typeof DEFAULTS;
const KINDS = ["alone", "well-behaved", "flood"] as const;
type Kind = (typeof KINDS)[number];

interface Reading {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  /** Requests per second of the load beside it. */
  readonly beside: number;
  /** Share of one CPU that the proxy used meanwhile. */
  readonly busy: number;
  /** CPU time of the proxy per request of both, microseconds. */
  readonly cpuMicros: number;
}

/** Throws where a number is none. */
function options(args: readonly string[]): Options | null {
  const names = Object.keys(DEFAULTS) as (keyof Options)[];
  const flags = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  const help = { type: "boolean" as const };
  const { values }: { values: Readonly<Record<string, string | boolean | undefined>> } = parseArgs({
    args: [...args],
    options: { ...flags, help },
  });
  if (values["help"] === true) return null;
  const chosen = { ...DEFAULTS };
  for (const name of names) {
    const value = Number(values[name] ?? DEFAULTS[name]);
    const least = name === "turn" ? -1 : 1;
    if (!Number.isInteger(value) || value < least)
      throw new Error(`--${name} wants a whole number from ${Math.max(0, least)} on`);
    chosen[name] = value;
  }
  return chosen;
}

function checked(result: LoadResult): LoadResult {
  if (Object.keys(result.errors).length > 0)
    throw new Error(`requests failed: ${JSON.stringify(result.errors)}`);
  return result;
}

async function read(stage: Stage, kind: Kind, options: Options): Promise<Reading> {
  const { seconds, rate, body, flood, peers, each } = options;
  const modest = { connections: MODEST_CONNECTIONS, rate, bodyBytes: MODEST_BYTES, seconds };
  const sources = kind === "flood" ? [FLOOD] : peerAddresses(peers);
  const connections = kind === "flood" ? flood : peers * each;
  const started = Promise.withResolvers<void>();
  const heavy = { connections, rate: null, bodyBytes: body, seconds: seconds + MARGIN_SECONDS };
  const beside = kind === "alone" ? null : stage.run("beside", sources, heavy, started.resolve);
  if (beside !== null) await Promise.race([started.promise, beside]);
  const [cpuMs, startMs] = [await stage.proxyMs(), performance.now()];
  const { histogram } = checked(await stage.run("measured", [MODEST], modest));
  const busy = ((await stage.proxyMs()) - cpuMs) / (performance.now() - startMs);
  const { p50, p90, p99 } = percentilesOf(histogram);
  const load = beside === null ? null : checked(await beside);
  const besides = load === null ? 0 : load.requests / load.seconds;
  return { p50, p90, p99, beside: besides, busy, cpuMicros: (busy * 1e6) / (besides + rate) };
}

async function measure(options: Options, signal: AbortSignal): Promise<Map<Kind, Reading[]>> {
  const { peers, rounds, turn } = options;
  const setting = turn < 0 ? {} : { turnRequests: turn };
  const stage = await Stage.open({ peers, ...setting }, signal);
  process.stderr.write(`${stage.note}\n`);
  const readings = new Map<Kind, Reading[]>(KINDS.map((kind) => [kind, []]));
  try {
    for (let round = 0; round < rounds; round++) {
      for (let at = 0; at < KINDS.length; at++) {
        // The order changes with every round.
        const kind = KINDS[(at + round) % KINDS.length] as Kind;
        const reading = await read(stage, kind, options);
        readings.get(kind)?.push(reading);
        const { p50, p90, p99, beside, busy } = reading;
        const times = `p50 ${p50.toFixed(2)}, p90 ${p90.toFixed(2)}, p99 ${p99.toFixed(2)} ms`;
        process.stderr.write(
          `  round ${round + 1}, ${kind}: ${times}, beside ${beside.toFixed(0)}/s, proxy ${busy.toFixed(2)}\n`,
        );
      }
    }
  } finally {
    await stage.close();
  }
  return readings;
}

function report(readings: ReadonlyMap<Kind, readonly Reading[]>): string {
  const show = ({ median, min, max }: Spread) =>
    `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`;
  const of = (kind: Kind, figure: keyof Reading) =>
    (readings.get(kind) ?? []).map((reading) => reading[figure]);
  const rows = KINDS.map((kind) => [
    kind,
    show(spread(of(kind, "p50"))),
    show(spread(of(kind, "p90"))),
    show(spread(of(kind, "p99"))),
    spread(of(kind, "beside")).median.toFixed(0),
    spread(of(kind, "busy")).median.toFixed(2),
    spread(of(kind, "cpuMicros")).median.toFixed(0),
  ]);
  const ratio = (figure: "p50" | "p90" | "p99") =>
    show(pairedRatio(of("flood", figure), of("well-behaved", figure)));
  const throughput = pairedRatio(of("flood", "beside"), of("well-behaved", "beside"));
  rows.push([
    "flood / well-behaved",
    ratio("p50"),
    ratio("p90"),
    ratio("p99"),
    throughput.median.toFixed(2),
    "",
    "",
  ]);
  const columns = [
    "beside it",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "load/s",
    "proxy's CPUs",
    "CPU us/request",
  ].map((title) => ({
    title,
  }));
  return textTable(columns, rows, { width: Number.POSITIVE_INFINITY, color: false }).join("\n");
}

async function main(): Promise<number> {
  const chosen = options(process.argv.slice(2));
  if (chosen === null) {
    console.log(USAGE);
    return 0;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
  console.log(report(await measure(chosen, stop.signal)));
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
