import type { Config } from "../config/schema.ts";
import { startFailure } from "./start-failure.ts";

/** What the command line of `hostmesh daemon` comes to. Plain data, so that it can go from one process to another. */
export interface DaemonStart {
  readonly config: Config;
  /** Leave capture rules in place at an orderly stop. */
  readonly keepRules: boolean;
}

/** Does what the command is for. Resolves with its exit code. */
export type DaemonRunner = (start: DaemonStart) => Promise<number>;

/** Runs the daemon in this process until it ends. Rejects with a CliError where it does not start. */
export async function runDaemonHere({ config, keepRules }: DaemonStart): Promise<number> {
  const { runDaemon } = await import("../../daemon/main.ts");
  try {
    return await runDaemon(config, { keepRules });
  } catch (reason) {
    throw startFailure(reason);
  }
}
