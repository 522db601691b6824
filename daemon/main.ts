import type { Config } from "../src/config/schema.ts";
import type { Log } from "../src/telemetry/log.ts";
import { createLog } from "../src/telemetry/log.ts";
import { shutdownSignals } from "./shutdown-signals.ts";
import { startDaemon } from "./start-daemon.ts";

export interface RunDaemonOptions {
  /** Leave the capture rules in place at an orderly stop; `capture.onDeath` then says what they do. */
  readonly keepRules?: boolean;
  readonly log?: Log;
}

/**
 * `hostmesh daemon`: runs until it is told to stop. Resolves with the exit code, 0 after an orderly stop;
 * rejects where it could not start.
 */
export async function runDaemon(config: Config, options: RunDaemonOptions = {}): Promise<number> {
  const { logLevel, logFormat } = config.telemetry;
  const log = options.log ?? createLog({ level: logLevel, format: logFormat });
  const shutdown = shutdownSignals(log);
  try {
    const { keepRules = false } = options;
    const { stop, force } = shutdown;
    const daemon = await startDaemon(config, { log, keepRules, stop, force });
    log.info("the daemon serves", { mode: daemon.mode, ...daemon.ports });
    return await daemon.done;
  } catch (error) {
    if (shutdown.stop.aborted) return 0;
    throw error;
  } finally {
    shutdown.dispose();
  }
}
