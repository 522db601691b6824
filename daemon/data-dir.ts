import { mkdirSync } from "node:fs";
import type { Log } from "../src/telemetry/log.ts";

/** Without the folder the daemon serves all the same; it only forgets its snapshot at the next start. */
export function makeDataDir(dataDir: string, log: Log): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o750 });
  } catch (error) {
    log.warn("no folder for the snapshot", { dataDir, reason: String(error) });
  }
}
