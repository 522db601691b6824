import type { Config } from "../src/config/schema.ts";
import { processClock } from "../src/core/clock.ts";
import type { RootLog } from "../src/telemetry/log.ts";
import { ExplainQueue } from "./explain/explain-queue.ts";
import { LogControl } from "./logging/log-control.ts";
import { TapHub } from "./tap/tap-hub.ts";
import type { ToWorker, WorkerStart } from "./worker-messages.ts";

/** What can be seen of this host's traffic one by one: what is logged, who taps it, and what would become of a request. */
export interface Observing {
  readonly logging: LogControl;
  readonly taps: TapHub;
  /** One for all who ask. */
  readonly explains: ExplainQueue;
}

/** `tell` reaches the workers, which do the work. */
export function makeObserving(
  { host, telemetry }: Config,
  log: RootLog,
  tell: (message: ToWorker) => void,
): Observing {
  const onSwitches = (switches: LogControl["switches"]) => tell({ type: "logging", switches });
  const every = (intervalMs: number, action: () => void) => {
    const timer = setInterval(action, intervalMs).unref();
    return () => clearInterval(timer);
  };
  return {
    logging: new LogControl({ telemetry, log, onSwitches }),
    taps: new TapHub({ host, tell, clock: processClock, every }),
    explains: new ExplainQueue(),
  };
}

/** How it stands, for a worker that begins. */
export function forWorker({ logging, taps }: Observing): Pick<WorkerStart, "logging" | "taps"> {
  return { logging: logging.switches, taps: taps.installed() };
}
