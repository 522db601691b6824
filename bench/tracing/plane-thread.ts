import { parentPort, workerData } from "node:worker_threads";
import { layout, openMemory, openSeries } from "../../daemon/memory.ts";
import { type ConfigInput, configSchema } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import type { DataService } from "../../src/core/snapshot.ts";
import { DataPlane } from "../../src/proxy/data-plane.ts";
import { SpanBuffer } from "../../src/telemetry/tracing/span-buffer.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";

/** What a thread is started with. */
export interface PlaneStart {
  /** Share of the traces that is recorded; null: tracing is off. */
  readonly sampling: number | null;
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

/** A data plane as a worker has it, which says how much CPU time its thread has taken. */
async function run(): Promise<void> {
  const { sampling, port, upstreamPort } = workerData as PlaneStart;
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
    recorder: new WorkerRecorder({ series: openSeries(memory, 0), onSeries: () => undefined }),
    ...{ random: Math.random, destination: null, ownAddresses: ["127.0.0.1"], ownPorts: [port] },
    watch: { texts: false, details: false },
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
