import { setImmediate as turn } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { ExpositionFormat } from "../../src/telemetry/exposition.ts";
import { Metrics, metricsOf } from "../../src/telemetry/metrics.ts";
import { spread } from "../lib/statistics.ts";
import { busyMesh } from "./busy-mesh.ts";

/**
 * CPU time of the thread to make one exposition of `/metrics` on the main thread of a data plane, and the longest piece of it, for which
 * nothing else has its turn there.
 */
const USAGE = `node bench/scrape/main.ts [options]

  --services N   services of which all endpoints were called (default 1000)
  --endpoints N  of each service (default 3)
  --sources N    workloads that called each service (default 4)
  --workers N    threads that counted (default 2)
  --rounds N     scrapes, of which the median counts (default 15)
  --istio        with Istio's metrics`;

const WARM_ROUNDS = 3;

interface Scrape {
  readonly wholeMs: number;
  readonly longestMs: number;
  readonly bytes: number;
}

async function scrape(metrics: Metrics, format: ExpositionFormat): Promise<Scrape> {
  let wholeMs = 0;
  let longestMs = 0;
  let bytes = 0;
  const pieces = metrics.expose(format);
  for (;;) {
    const before = process.threadCpuUsage();
    const { done, value } = await pieces.next();
    // As the server does it, which hands the text to a socket.
    bytes += done ? 0 : Buffer.from(value).length;
    const { user, system } = process.threadCpuUsage(before);
    const pieceMs = (user + system) / 1000;
    wholeMs += pieceMs;
    longestMs = Math.max(longestMs, pieceMs);
    if (done) return { wholeMs, longestMs, bytes };
    await turn();
  }
}

function sizeOf(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`not a positive number: ${text}`);
  return value;
}

async function run(): Promise<void> {
  const { values } = parseArgs({
    options: {
      ...{ services: { type: "string", default: "1000" } },
      ...{ endpoints: { type: "string", default: "3" } },
      ...{ sources: { type: "string", default: "4" } },
      ...{ workers: { type: "string", default: "2" } },
      ...{ rounds: { type: "string", default: "15" }, istio: { type: "boolean", default: false } },
    },
  });
  const size = {
    ...{ services: sizeOf(values.services), endpoints: sizeOf(values.endpoints) },
    ...{ sources: sizeOf(values.sources), workers: sizeOf(values.workers) },
    istio: values.istio,
  };
  const metrics = new Metrics(
    busyMesh(size),
    metricsOf({ telemetry: { istioMetrics: values.istio ? "on" : "off" } }),
  );
  for (const format of ["text", "openmetrics"] as const) {
    const scrapes: Scrape[] = [];
    for (let round = -WARM_ROUNDS; round < sizeOf(values.rounds); round += 1) {
      const result = await scrape(metrics, format);
      if (round >= 0) scrapes.push(result);
    }
    const whole = spread(scrapes.map(({ wholeMs }) => wholeMs));
    const longest = spread(scrapes.map(({ longestMs }) => longestMs));
    const megabytes = (scrapes[0]?.bytes ?? 0) / 1e6;
    console.log(
      `${format}: ${whole.median.toFixed(0)} ms (${whole.min.toFixed(0)}-${whole.max.toFixed(0)}), longest piece ${longest.median.toFixed(1)} ms, ${megabytes.toFixed(1)} MB`,
    );
  }
}

if (process.argv.includes("--help")) console.log(USAGE);
else await run();
process.exit(0);
