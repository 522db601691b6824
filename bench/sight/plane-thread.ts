import { parentPort, workerData } from "node:worker_threads";
import { LogControl } from "../../daemon/logging/log-control.ts";
import { makeObservers } from "../../daemon/make-observers.ts";
import { layout, openMemory, openSeries } from "../../daemon/memory.ts";
import { type Config, type ConfigInput, configSchema } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import type { Recorder } from "../../src/core/facts.ts";
import type { DataService } from "../../src/core/snapshot.ts";
import { DataPlane } from "../../src/proxy/data-plane.ts";
import { FailureTeller } from "../../src/telemetry/failure-teller.ts";
import type { Series } from "../../src/telemetry/series.ts";
import { newBudget } from "../../src/telemetry/tap/tap-budget.ts";
import type { InstalledTap } from "../../src/telemetry/tap/worker-taps.ts";
import { SpanBuffer } from "../../src/telemetry/tracing/span-buffer.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";

/** What is seen of the traffic. */
export interface Seeing {
  /** Share of the traces that is recorded; null: tracing is off. */
  readonly sampling: number | null;
  /** False: a recorder that does nothing. */
  readonly metrics: boolean;
  /** Is a tap there, which no request matches? Only with metrics, whose recorder it hears from. */
  readonly tap: boolean;
}

/** What a thread is started with. */
export interface PlaneStart extends Seeing {
  /** Where its proxy port is to be. */
  readonly port: number;
  readonly upstreamPort: number;
}

/** What the thread is told, and what it says. */
export type ToPlane =
  | { readonly kind: "read" }
  | { readonly kind: "taken"; readonly bytes: number };
export type FromPlane =
  | { readonly kind: "ready" }
  | { readonly kind: "cpu"; readonly micros: number }
  | { readonly kind: "spans"; readonly spans: readonly string[] };

/** One service on this host, so that a recorded request has the spans of both of its sides. */
function serviceAt(port: number): DataService {
  const place = { address: "127.0.0.1", port, portName: "", weight: 1, zone: "", host: "bench" };
  const names = { key: "default/web", name: "web", namespace: "default" };
  return {
    ...{ ...names, addresses: [], ports: [], balancer: { policy: "peak-ewma", slowStartMs: 0 } },
    endpoints: [{ ...place, slot: 0, id: "bench/web", meta: {}, health: "passing", local: true }],
  };
}

const NOTHING: Recorder = {
  ...{ exchange: () => undefined, started: () => undefined, opened: () => undefined },
  ...{ event: () => undefined, detection: () => undefined, http2: () => undefined },
  ...{ retry: () => undefined, ejection: () => undefined },
};

const TAP: InstalledTap = { id: 1, filter: { source: "shop/nobody" }, budget: newBudget() };

/** As a worker makes it, with its switches for access log and taps. */
function makeRecorder(config: Config, series: Series, tap: boolean) {
  const watch = { texts: false, details: false };
  const ignored = () => undefined;
  const recorder = new WorkerRecorder({
    ...{ series, onSeries: ignored, onTraced: ignored },
    failures: new FailureTeller({
      perSecond: 20,
      ...{ clock: processClock, wall: Date.now, tell: ignored },
    }),
  });
  const { telemetry } = config;
  const control = new LogControl({ telemetry, log: { level: "info" }, onSwitches: ignored });
  makeObservers(
    { config, logging: control.switches, taps: tap ? [TAP] : [] },
    { watch, recorder, series, tell: ignored, log: ignored },
  );
  return { recorder, watch };
}

/** A data plane as a worker has it, which says how much CPU time its thread has taken. */
async function run(): Promise<void> {
  const { sampling, metrics, tap, port, upstreamPort } = workerData as PlaneStart;
  const tell = (message: FromPlane) => parentPort?.postMessage(message);
  const input: ConfigInput = sampling === null ? {} : { telemetry: { tracing: { sampling } } };
  const config = configSchema.parse(input);
  const memory = layout(config, 1);
  const spans =
    sampling === null
      ? undefined
      : new SpanBuffer({ post: (batch) => tell({ kind: "spans", spans: batch }) });
  const plane = new DataPlane({
    ...{ config, ...openMemory(memory, 0, config), spans, clock: processClock },
    ...(metrics
      ? makeRecorder(config, openSeries(memory, 0), tap)
      : { recorder: NOTHING, watch: { texts: false, details: false } }),
    ...{ random: Math.random, destination: null, ownAddresses: ["127.0.0.1"], ownPorts: [port] },
    log: () => undefined,
  });
  plane.apply({
    ...{ revision: 1, full: true, services: [serviceAt(upstreamPort)], workloads: [] },
    ...{ removedServices: [], removedWorkloads: [] },
  });
  parentPort?.on("message", (message: ToPlane) => {
    if (message.kind === "taken") {
      spans?.taken(message.bytes);
      return;
    }
    const { user, system } = process.threadCpuUsage();
    tell({ kind: "cpu", micros: user + system });
  });
  await plane.listen({ entry: "explicit", host: "127.0.0.1", port, reusePort: false });
  tell({ kind: "ready" });
}

if (parentPort !== null) await run();
