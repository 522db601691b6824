import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { decodeFromCompressedBase64 } from "hdr-histogram-js";
import { textTable } from "../../src/core/text-table.ts";
import { pinned, pinningOfMachine } from "../lib/pinning.ts";
import { pairedRatio, type spread } from "../lib/statistics.ts";
import { findProgram } from "../lib/tools.ts";
import { Workbench } from "../lib/workbench.ts";
import type { LoadJob, LoadResult } from "../model.ts";
import { BODY_BYTES, fixedUpstream } from "./fixed-upstream.ts";
import { freshDaemon, SERVICE } from "./fresh-daemon.ts";

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

const LOAD = fileURLToPath(new URL("../load/main.ts", import.meta.url));
/** Closed-loop load after which a worker counts as warm. */
const WARM_SECONDS = 3;
const PATIENCE_MS = 60_000;

const KINDS = [
  { name: "without warm-up", warmUpMs: 0 },
  { name: "with warm-up", warmUpMs: null },
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

async function load(bench: Workbench, cpu: number | null, job: LoadJob): Promise<LoadResult> {
  let result: LoadResult | null = null;
  const onLine = (line: string): void => {
    const event = JSON.parse(line) as { event: string; result?: LoadResult };
    if (event.result !== undefined) result = event.result;
  };
  const command = pinned([process.execPath, LOAD], cpu);
  await bench.run("the load generator", command, PATIENCE_MS, {
    input: JSON.stringify(job),
    onLine,
  });
  if (result === null) throw new Error("the load generator ended without a result");
  return result;
}

function p99Millis({ histogram, errors }: LoadResult): number {
  const wrong = Object.entries(errors);
  if (wrong.length > 0) throw new Error(`requests failed: ${JSON.stringify(errors)}`);
  return decodeFromCompressedBase64(histogram).getValueAtPercentile(99) / 1e3;
}

interface Reading {
  readonly firstMs: number;
  readonly warmMs: number;
}

async function read(
  bench: Workbench,
  port: number,
  cpu: number | null,
  { rate, requests, connections }: Options,
): Promise<Reading> {
  const target = { host: "127.0.0.1", port, authority: SERVICE, connect: false };
  const base = { protocol: "http1", targets: [target], connections, vary: false } as const;
  const job = { ...base, bodyBytes: BODY_BYTES, warmUpSeconds: 0 };
  const some = { ...job, rate, seconds: 30, firstRequests: requests };
  const first = await load(bench, cpu, some);
  await load(bench, cpu, { ...job, rate: null, seconds: WARM_SECONDS });
  return { firstMs: p99Millis(first), warmMs: p99Millis(await load(bench, cpu, some)) };
}

/** One daemon from its start to its end. */
async function round(
  kind: (typeof KINDS)[number],
  upstream: number,
  options: Options,
  signal: AbortSignal,
): Promise<Reading> {
  const { proxyCpu, loadCpu } = await pinningOfMachine((await findProgram("taskset")) !== null);
  const bench = await Workbench.open(signal);
  try {
    const { warmUpMs } = kind;
    const port = await freshDaemon(bench, { name: "hostmesh", warmUpMs, upstream, cpu: proxyCpu });
    return await read(bench, port, loadCpu, options);
  } finally {
    await bench.close();
  }
}

async function measure(options: Options, signal: AbortSignal): Promise<Reading[][]> {
  const upstream = await fixedUpstream();
  const readings: Reading[][] = KINDS.map(() => []);
  try {
    for (let at = 0; at < options.rounds * KINDS.length; at++) {
      const turn = Math.floor(at / KINDS.length);
      // The order changes with every round.
      const which = (at + turn) % KINDS.length;
      const kind = KINDS[which] as (typeof KINDS)[number];
      const reading = await round(kind, upstream.port, options, signal);
      readings[which]?.push(reading);
      const { firstMs, warmMs } = reading;
      const figures = `first p99 ${firstMs.toFixed(2)} ms, warm ${warmMs.toFixed(2)} ms`;
      process.stderr.write(`  round ${turn + 1}, ${kind.name}: ${figures}\n`);
    }
  } finally {
    upstream.close();
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
