import { parentPort, workerData } from "node:worker_threads";
import { processClock } from "../src/core/clock.ts";
import type { DataUpdate } from "../src/core/snapshot.ts";
import { DataPlane } from "../src/proxy/data-plane.ts";
import type { ListenerSpec } from "../src/proxy/downstream/accept.ts";
import type { DestinationSource } from "../src/proxy/downstream/destination.ts";
import { localAddressSource, redirectSource } from "../src/proxy/downstream/destination.ts";
import { duplicateFd } from "../src/proxy/downstream/libc.ts";
import { FailureTeller } from "../src/telemetry/failure-teller.ts";
import { describeError } from "../src/telemetry/log.ts";
import type { Series } from "../src/telemetry/series.ts";
import { SpanBuffer } from "../src/telemetry/tracing/span-buffer.ts";
import { WorkerRecorder } from "../src/telemetry/worker-recorder.ts";
import { makeObservers, obey } from "./make-observers.ts";
import { openMemory, openSeries } from "./memory.ts";
import { warmUp } from "./warm-up/warm-up.ts";
import type { CaptureMode, FromWorker, ToWorker, WorkerStart } from "./worker-messages.ts";

/** Failures that all workers of a host together tell of. */
const FAILURES_PER_SECOND = 20;

const SOURCES: Readonly<Record<CaptureMode, DestinationSource | null>> = {
  tproxy: localAddressSource,
  redirect: redirectSource,
  explicit: null,
};

/**
 * The life of a worker thread: the whole state first, then the warm-up, then the listeners; all along whatever
 * the main thread says. What throws here ends the thread, and the supervisor replaces it.
 */
async function run(start: WorkerStart, port: NonNullable<typeof parentPort>): Promise<void> {
  const tell = (message: FromWorker) => port.postMessage(message);
  const log = (message: string, facts?: object) =>
    tell(facts === undefined ? { type: "log", message } : { type: "log", message, facts });
  const { index, memory } = start;
  const series = openSeries(memory, index);
  const watch = { texts: false, details: false };
  const recorder = makeRecorder(start, series, tell);
  const deps = { watch, recorder, series, tell, log };
  const { observers, writer } = makeObservers(start, deps);
  const spans = spanBuffer(start, tell);
  const plane = new DataPlane({ ...planeDeps(start), recorder, watch, spans, log });
  plane.apply(start.state);
  observers.apply(start.state);
  if (start.credentials !== null || !start.identityExpected) {
    plane.setCredentials(start.credentials);
  }

  const apply = (update: DataUpdate) => {
    try {
      plane.apply(update);
      observers.apply(update);
    } catch (error) {
      tell({ type: "rejected", revision: update.revision, reason: describeError(error) });
    }
  };
  const drain = async (deadlineMs: number) => {
    await plane.drain(deadlineMs);
    await writer.drained();
    spans?.flush();
    process.exit(0);
  };
  const hurry = new AbortController();
  port.on("message", (message: ToWorker) => {
    switch (message.type) {
      case "hurry":
        hurry.abort();
        return;
      case "update":
        apply(message.update);
        return;
      case "credentials":
        plane.setCredentials(message.credentials);
        return;
      case "ping":
        tell({ type: "pong", id: message.id, stats: plane.stats() });
        return;
      case "spans-taken":
        spans?.taken(message.bytes);
        return;
      case "drain":
        void drain(message.deadlineMs);
        return;
      default:
        obey(observers, message);
    }
  });
  await warm(start, hurry.signal, tell);
  for (const spec of listeners(start)) await plane.listen(spec);
  tell({ type: "ready" });
}

/** Counts in this worker's memory, and tells the main thread of what needs words. */
function makeRecorder(
  { config, known, memory }: WorkerStart,
  series: Series,
  tell: (message: FromWorker) => void,
): WorkerRecorder {
  const { istioMetrics, istioCluster } = config.telemetry;
  return new WorkerRecorder({
    ...{ series, known },
    onSeries: (label) => tell({ type: "series", label }),
    onTraced: (request) => tell({ type: "traced", request }),
    ...(istioMetrics === "on" ? { istioCluster } : {}),
    failures: new FailureTeller({
      perSecond: Math.ceil(FAILURES_PER_SECOND / memory.workers),
      clock: processClock,
      wall: Date.now,
      tell: (failure) => tell({ type: "failure", failure }),
    }),
  });
}

/** What a data plane is made of that only the worker's start decides. */
function planeDeps({ config, memory, index, mode, ownAddresses, ownPorts }: WorkerStart) {
  return {
    ...{ config, ownAddresses, ownPorts },
    ...openMemory(memory, index, config),
    clock: processClock,
    random: Math.random,
    destination: SOURCES[mode],
  };
}

/** Warms up, unless that is switched off. A worker whose warm-up failed is cold, and serves all the same. */
async function warm(
  { config, mode, state, warmUpMs }: WorkerStart,
  signal: AbortSignal,
  tell: (message: FromWorker) => void,
): Promise<void> {
  if (warmUpMs === 0) return;
  const used = new Set(state.services.map((service) => service.balancer.policy));
  const policies = used.size === 0 ? [config.balance.policy] : [...used];
  const captured = mode !== "explicit";
  try {
    const result = await warmUp({ config, policies, captured, limitMs: warmUpMs, signal });
    tell({ type: "warm", ...result });
  } catch (error) {
    const facts = { reason: describeError(error) };
    tell({ type: "log", message: "the warm-up failed: the worker starts cold", facts });
  }
}

/** Takes the spans of this worker; undefined where none are recorded. */
function spanBuffer(
  { config }: WorkerStart,
  tell: (message: FromWorker) => void,
): SpanBuffer | undefined {
  if (config.telemetry.tracing.endpoint === "") return;
  return new SpanBuffer({
    post: (spans, dropped) => tell({ type: "spans", spans, dropped }),
  });
}

/** Duplicates of the sockets that belong to this worker; the port itself where there are none to share. */
function listeners(start: WorkerStart): ListenerSpec[] {
  const own = start.listeners.filter(({ worker }) => worker === start.index);
  if (own.length > 0) return own.map(({ entry, fd }) => ({ entry, fd: duplicateFd(fd) }));
  const { bind } = start.config.ports;
  return [{ entry: "explicit", host: bind, port: start.explicitPort, reusePort: false }];
}

if (parentPort === null) throw new Error("daemon/worker.ts is the script of a worker thread");
await run(workerData as WorkerStart, parentPort);
