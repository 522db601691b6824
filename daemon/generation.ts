import process from "node:process";
import { createLog, describeError } from "../src/telemetry/log.ts";
import { DataPath } from "./data-path.ts";
import type { FromGeneration, GenerationStart, ToGeneration } from "./generation-messages.ts";
import { sizeWorkerHeaps } from "./worker-heap.ts";

/**
 * Entry of the generation process: one version of the data plane, under the guardian that forked it. It
 * ends when it has drained, at the guardian's word or because the guardian is gone.
 */
let path: DataPath | null = null;
let ending = false;
let lost = { lingerMs: 0, deadlineMs: 0 };

function tell(message: FromGeneration): void {
  // An error means that the guardian is going, and "disconnect" says so.
  if (process.connected) process.send?.(message, () => undefined);
}

async function begin(start: GenerationStart): Promise<void> {
  lost = { lingerMs: start.lingerMs, deadlineMs: start.config.timeouts.drainMs };
  const { logLevel, logFormat } = start.config.telemetry;
  const log = createLog({ level: logLevel, format: logFormat });
  sizeWorkerHeaps(process.execArgv, process.env["NODE_OPTIONS"] ?? "");
  path = new DataPath(start, { log, tell });
  try {
    tell({ type: "ready", ports: await path.start() });
  } catch (error) {
    // A start that is cut short by its own end has not failed.
    if (ending) return;
    const reason = describeError(error);
    log.error("the data path did not start", { reason });
    await path.stop();
    process.send?.({ type: "failed", reason } satisfies FromGeneration, () => process.exit(1));
  }
}

function end(lingerMs: number, deadlineMs: number): void {
  if (ending) return;
  ending = true;
  void drain(lingerMs, deadlineMs);
}

async function drain(lingerMs: number, deadlineMs: number): Promise<void> {
  await path?.drain(lingerMs, deadlineMs);
  process.exit(0);
}

process.on("message", (message: ToGeneration) => {
  switch (message.type) {
    case "start":
      void begin(message.start);
      return;
    case "capture":
      path?.setCapturing(message.active, message.released);
      return;
    case "drain":
      end(message.lingerMs, message.deadlineMs);
  }
});
process.on("disconnect", () => {
  // Its rules may still send connections here: they are served until the dead-man entry has lapsed.
  path?.closeControl();
  end(lost.lingerMs, lost.deadlineMs);
});
// A terminal sends these to the whole process group; the guardian decides what they mean.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
