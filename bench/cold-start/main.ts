import { join } from "node:path";
import { parseArgs } from "node:util";
import { textTable } from "../../src/core/text-table.ts";
import { Crew } from "../contestants/crew.ts";
import { startHostmesh } from "../contestants/start-hostmesh.ts";
import { openSite, type Site } from "../lib/site.ts";
import { pairedRatio, spread } from "../lib/statistics.ts";
import { Workbench } from "../lib/workbench.ts";
import { runLoad } from "../load/run-load.ts";
import type { LoadJob, Target } from "../model.ts";
import { percentilesOf } from "../result/latency.ts";
import { startUpstream } from "../upstream/start-upstream.ts";

/**
 * What a fresh worker's first requests cost in latency: p99 of the first 1,000 against p99 of the same load once the
 * worker is warm, with and without the warm-up before it takes traffic. Daemons are started anew in every round, and
 * the two kinds take turns.
 */
const USAGE = `node bench/cold-start/main.ts [options]

  --rounds N       rounds, of which the median counts (default 5)
  --rate N         requests a second, open loop (default 2000)
  --requests N     how many requests are a worker's first (default 1000)
  --connections N  (default 64)`;

const BODY_BYTES = 115;
/** Closed-loop load after which a worker counts as warm. */
const WARM_SECONDS = 3;
const WARM_READINGS = 3;

const KINDS = [
  { name: "without warm-up", settings: { warmUpMs: 0 } },
  { name: "with warm-up", settings: {} },
] as const;

interface Options {
  readonly rounds: number;
  readonly rate: number;
  readonly requests: number;
  readonly connections: number;
}

/** Throws where a number is none. */
function options(args: readonly string[]): Options | null {
  const number = { type: "string" } as const;
  const flags = { rounds: number, rate: number, requests: number, connections: number };
  const { values } = parseArgs({
    args: [...args],
    options: { ...flags, help: { type: "boolean" } },
  });
  if (values.help === true) return null;
  const read = (name: keyof Options, fallback: number): number => {
    const value = Number(values[name] ?? fallback);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`--${name} wants a number from 1 on`);
    return value;
  };
  return {
    rounds: read("rounds", 5),
    rate: read("rate", 2_000),
    requests: read("requests", 1_000),
    connections: read("connections", 64),
  };
}

/** p99 in milliseconds. Rejects where a request failed. */
async function p99(bench: Workbench, site: Site, job: LoadJob): Promise<number> {
  const nothing = { counting: () => undefined, counted: () => undefined };
  const { histogram, errors } = await runLoad(bench, site, job, nothing);
  if (Object.keys(errors).length > 0) throw new Error(`requests failed: ${JSON.stringify(errors)}`);
  return percentilesOf(histogram).p99;
}

interface Reading {
  readonly firstMs: number;
  readonly warmMs: number;
}

/** The same load on the same process, first of all and once it is warm: the middle of several, as one is a matter of luck. */
async function read(
  bench: Workbench,
  site: Site,
  targets: readonly Target[],
  { rate, requests, connections }: Options,
): Promise<Reading> {
  const base = { protocol: "http1", targets, connections, vary: false } as const;
  const job = { ...base, bodyBytes: BODY_BYTES, warmUpSeconds: 0 };
  const some = { ...job, rate, seconds: 30, firstRequests: requests };
  const firstMs = await p99(bench, site, some);
  await p99(bench, site, { ...job, rate: null, seconds: WARM_SECONDS });
  const warm: number[] = [];
  while (warm.length < WARM_READINGS) warm.push(await p99(bench, site, some));
  return { firstMs, warmMs: spread(warm).median };
}

/** One daemon from its start to its end. */
async function round(
  kind: (typeof KINDS)[number],
  name: string,
  options: Options,
  signal: AbortSignal,
): Promise<Reading> {
  const site = await openSite("same-host", { workers: 1, signal });
  const bench = await Workbench.open(signal);
  try {
    const upstream = await startUpstream(bench, site, { services: 1 });
    const configFolder = join(bench.folder, "config");
    const crew = await Crew.open({ bench, site, name, configFolder });
    const { targets } = await startHostmesh(crew, {
      services: [{ name: "web", endpoints: upstream.services }],
      ...{ place: site.a, workers: 1, connections: options.connections, protocol: "http1" },
      ...kind.settings,
    });
    return await read(bench, site, targets, options);
  } finally {
    await bench.close();
    await site.close();
  }
}

async function measure(options: Options, signal: AbortSignal): Promise<Reading[][]> {
  const readings: Reading[][] = KINDS.map(() => []);
  for (let at = 0; at < options.rounds * KINDS.length; at++) {
    const turn = Math.floor(at / KINDS.length);
    // The order changes with every round.
    const which = (at + turn) % KINDS.length;
    const kind = KINDS[which] as (typeof KINDS)[number];
    const reading = await round(kind, `round ${turn + 1}`, options, signal);
    readings[which]?.push(reading);
    const { firstMs, warmMs } = reading;
    const figures = `first p99 ${firstMs.toFixed(2)} ms, warm ${warmMs.toFixed(2)} ms`;
    process.stderr.write(`  round ${turn + 1}, ${kind.name}: ${figures}\n`);
  }
  return readings;
}

function report(readings: readonly (readonly Reading[])[]): string {
  const [cold = [], warmed = []] = readings.map((list) => list.map(({ firstMs }) => firstMs));
  const show = ({ median, min, max }: ReturnType<typeof spread>) =>
    `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`;
  const rows = KINDS.map(({ name }, at) => {
    const list = readings[at] ?? [];
    const ratio = pairedRatio(
      list.map(({ firstMs }) => firstMs),
      list.map(({ warmMs }) => warmMs),
    );
    return [name, show(ratio)];
  });
  rows.push(["first requests, with / without", show(pairedRatio(warmed, cold))]);
  return textTable([{ title: "" }, { title: "p99 first / warm, or ratio" }], rows, {
    width: Number.POSITIVE_INFINITY,
    color: false,
  }).join("\n");
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
