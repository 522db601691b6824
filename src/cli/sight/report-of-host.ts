import { hostReportSchema } from "../../sight/host-report-schema.ts";
import { mergeReports } from "../../sight/merge.ts";
import type { MeshReport } from "../../sight/mesh-report.ts";
import { CliError } from "../cli-error.ts";

/** One daemon's report in the form of the mesh's. `peer` is who gave it, for messages. */
export function reportOfHost(answer: unknown, peer: string): MeshReport {
  const parsed = hostReportSchema.safeParse(answer);
  if (parsed.success) {
    const { atMs, revision } = parsed.data;
    return mergeReports([parsed.data], { atMs, revision, hosts: [], services: [] });
  }
  throw new CliError(`the report of ${peer} is not what this version of hostmesh understands`, {
    cause: parsed.error,
  });
}
