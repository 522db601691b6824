import type { Config } from "../../config/schema.ts";
import type { MeshReport } from "../../sight/mesh-report.ts";
import { CliError } from "../cli-error.ts";
import { callRegistry } from "../registry.ts";
import { meshReportSchema } from "./mesh-report-schema.ts";

/** The registry asks all daemons, and each has 2 s to answer. */
export const REPORT_PATIENCE_MS = 8_000;
export const MESH_REPORT_PATH = "/v1/mesh/sight/report";

/** The registry's report, or why there is none, for commands that have more to tell than what is seen. */
export async function readMeshReport(config: Config): Promise<MeshReport | string> {
  try {
    const call = { method: "GET", path: MESH_REPORT_PATH, timeoutMs: REPORT_PATIENCE_MS } as const;
    const parsed = meshReportSchema.safeParse(await callRegistry(config, call));
    return parsed.success ? parsed.data : "the registry's report is not understood";
  } catch (reason) {
    if (reason instanceof CliError) return reason.message;
    throw reason;
  }
}
