import { parentPort, workerData } from "node:worker_threads";
import { processClock } from "../src/core/clock.ts";
import type { DataUpdate } from "../src/core/snapshot.ts";
import { DataPlane } from "../src/proxy/data-plane.ts";
import type { ListenerSpec } from "../src/proxy/downstream/accept.ts";
import type { DestinationSource } from "../src/proxy/downstream/destination.ts";
import { localAddressSource, redirectSource } from "../src/proxy/downstream/destination.ts";
import { duplicateFd } from "../src/proxy/downstream/libc.ts";
import { AccessLog } from "../src/telemetry/access-log.ts";
import { FailureTeller } from "../src/telemetry/failure-teller.ts";
import { fdWriter } from "../src/telemetry/fd-writer.ts";
import { LineWriter } from "../src/telemetry/line-writer.ts";
import { describeError } from "../src/telemetry/log.ts";
import { WorkerRecorder } from "../src/telemetry/worker-recorder.ts";
import { openMemory, openSeries } from "./memory.ts";
import { warmUp } from "./warm-up/warm-up.ts";
import type { CaptureMode, FromWorker, ToWorker, WorkerStart } from "./worker-messages.ts";

const STDOUT = 1;
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
  const { config, index, memory } = start;
  const series = openSeries(memory, index);
  const lines = accessLines(start, (lost, error) => {
    series.countAccessLogLost(lost);
    log("access log lost lines", { lines: lost, reason: error.message });
  });
  const recorder = new WorkerRecorder({
    series,
    known: start.known,
    onSeries: (label) => tell({ type: "series", label }),
    onTraced: (request) => tell({ type: "traced", request }),
    log: lines === null ? null : lines.log,
    failures: new FailureTeller({
      perSecond: Math.ceil(FAILURES_PER_SECOND / memory.workers),
      clock: processClock,
      wall: Date.now,
      tell: (failure) => tell({ type: "failure", failure }),
    }),
  });
  const plane = new DataPlane({
    config,
    ...openMemory(memory, index, config),
    recorder,
    clock: processClock,
    random: Math.random,
    destination: SOURCES[start.mode],
    ownAddresses: start.ownAddresses,
    ownPorts: start.ownPorts,
    log,
  });
  plane.apply(start.state);
  if (start.credentials !== null || !start.identityExpected) {
    plane.setCredentials(start.credentials);
  }

  const apply = (update: DataUpdate) => {
    try {
      plane.apply(update);
    } catch (error) {
      tell({ type: "rejected", revision: update.revision, reason: describeError(error) });
    }
  };
  const drain = async (deadlineMs: number) => {
    await plane.drain(deadlineMs);
    await lines?.writer.drained();
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
      case "drain":
        void drain(message.deadlineMs);
    }
  });
  await warm(start, hurry.signal, tell);
  for (const spec of listeners(start)) await plane.listen(spec);
  tell({ type: "ready" });
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

/** The access log of this worker, or null where it is off. */
function accessLines(
  { config }: WorkerStart,
  onLost: (lines: number, error: Error) => void,
): { writer: LineWriter; log: AccessLog } | null {
  const format = config.telemetry.accessLog;
  if (format === "off") return null;
  const writer = new LineWriter({
    write: fdWriter(STDOUT),
    onLost,
  });
  return { writer, log: new AccessLog({ format, writer }) };
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
