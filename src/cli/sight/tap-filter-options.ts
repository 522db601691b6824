import type { Command } from "commander";
import { DEFAULT_NAMESPACE } from "../../core/model.ts";

/** A tap's longest. */
export const LONGEST_MS = 3_600_000;

/** Which requests of a tap are wanted. */
export interface TapFilterFlags {
  readonly from?: string;
  readonly to?: string;
  readonly namespace: string;
  readonly method?: string;
  readonly path?: string;
  readonly failed?: boolean;
}

/** The options of {@link TapFilterFlags}, and the service as an argument. */
export function addTapFilterOptions(command: Command): Command {
  return command
    .argument("[service]", "NAME or NAME.NAMESPACE: only calls of this one; as --to")
    .option("--from <workload>", "only calls of this source")
    .option("--to <service>", "only calls of this service")
    .option("-n, --namespace <namespace>", "namespace of names that have none", DEFAULT_NAMESPACE)
    .option("--method <method>", "only this method")
    .option("--path <prefix>", "only paths that begin so")
    .option("--failed", "only what failed");
}
