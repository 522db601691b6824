import { type Clock, processClock } from "../src/core/clock.ts";
import type { Log } from "../src/telemetry/log.ts";

/**
 * A Ctrl-C under `npm start` comes twice: the terminal signals the whole process group, and npm passes its
 * own copy on. Nobody presses a key twice in this time on purpose.
 */
const ECHO_MS = 300;

/** The wish to stop: `stop` in order, `force` at once. */
export interface Shutdown {
  readonly stop: AbortSignal;
  readonly force: AbortSignal;
  /** Takes the handlers away again. */
  dispose(): void;
}

/**
 * SIGTERM or SIGINT asks for an orderly stop; a second one forces it. SIGHUP, which a closing terminal
 * sends too, must not end a daemon: settings are read at the start only.
 */
export function shutdownSignals(log: Log, clock: Clock = processClock): Shutdown {
  const stop = new AbortController();
  const force = new AbortController();
  let askedMs = 0;
  const ask = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) {
      if (clock.now() - askedMs < ECHO_MS) return;
      log.warn("stopping at once", { signal });
      force.abort();
    } else {
      log.info("stopping; the same signal again forces it", { signal });
      askedMs = clock.now();
      stop.abort();
    }
  };
  const hangUp = () => log.info("SIGHUP: settings are read at the start only; nothing is reloaded");
  process.on("SIGTERM", ask);
  process.on("SIGINT", ask);
  process.on("SIGHUP", hangUp);
  return {
    stop: stop.signal,
    force: force.signal,
    dispose() {
      process.off("SIGTERM", ask);
      process.off("SIGINT", ask);
      process.off("SIGHUP", hangUp);
    },
  };
}
