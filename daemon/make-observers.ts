import type { Watch } from "../src/core/exchange-details.ts";
import { AccessLog } from "../src/telemetry/access-log/access-log.ts";
import { LogChooser } from "../src/telemetry/access-log/log-chooser.ts";
import { fdWriter } from "../src/telemetry/fd-writer.ts";
import { LineWriter, type WriteChunk } from "../src/telemetry/line-writer.ts";
import { Observers } from "../src/telemetry/observers.ts";
import type { Series } from "../src/telemetry/series.ts";
import { WorkerTaps } from "../src/telemetry/tap/worker-taps.ts";
import type { ExchangeLog, WorkerRecorder } from "../src/telemetry/worker-recorder.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./worker-messages.ts";

const STDOUT = 1;

/** What a worker's observers need of it. */
export interface ObserverDeps {
  readonly watch: Watch;
  readonly recorder: WorkerRecorder;
  readonly series: Pick<Series, "countAccessLogLost">;
  readonly tell: (message: FromWorker) => void;
  readonly log: (message: string, facts?: object) => void;
}

/** Access log and taps of a worker, switched as its main thread has them at this moment. */
export function makeObservers(
  { config, logging, taps: installed }: Pick<WorkerStart, "config" | "logging" | "taps">,
  { watch, recorder, series, tell, log }: ObserverDeps,
): { observers: Observers; writer: LineWriter } {
  const { host, telemetry } = config;
  // Looked at with the first line: a daemon without an access log may have no standard output.
  let stdout: WriteChunk | null = null;
  const writer = new LineWriter({
    write: (chunk, done) => {
      stdout ??= fdWriter(STDOUT);
      stdout(chunk, done);
    },
    onLost: (lost, error) => {
      series.countAccessLogLost(lost);
      log("access log lost lines", { lines: lost, reason: error.message });
    },
  });
  const own = telemetry.accessLog === "text" ? "text" : "json";
  const chooser = new LogChooser(own, logging, Math.random, (workload, name, message) =>
    log("a mark of the access log", { workload, name, message }),
  );
  const taps = new WorkerTaps({ host, post: (id, events) => tell({ type: "tapped", id, events }) });
  for (const tap of installed) taps.add(tap);
  const accessLog = new AccessLog({ format: telemetry.accessLogFormat, host, chooser, writer });
  const attach = (observer: ExchangeLog | null) => {
    recorder.log = observer;
  };
  return { observers: new Observers({ log: accessLog, chooser, taps, watch, attach }), writer };
}

/** What the main thread says to them. */
export function obey(
  observers: Observers,
  message: Extract<ToWorker, { type: "logging" | "tap" | "tap-end" }>,
): void {
  if (message.type === "logging") observers.setSwitches(message.switches);
  else if (message.type === "tap") observers.addTap(message.tap);
  else observers.removeTap(message.id);
}
