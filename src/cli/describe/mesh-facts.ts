import type * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { wallClock } from "../../core/clock.ts";
import type { Policy } from "../../core/policy.ts";
import type { MeshReport } from "../../sight/mesh-report.ts";
import { type Understood, understand } from "../analyze/analyze.ts";
import { analysisSettings, readHoldings } from "../analyze/registry-side.ts";
import { CliError } from "../cli-error.ts";
import { callRegistry, readRegistry } from "../registry.ts";
import { endpointList, serviceList, workloadList } from "../service-records.ts";
import { meshReportSchema } from "../sight/mesh-report-schema.ts";

export type KnownService = z.infer<typeof serviceList>[number];
export type KnownEndpoint = z.infer<typeof endpointList>[number];
export type KnownWorkload = z.infer<typeof workloadList>[number];

export interface OwnedPolicy {
  readonly value: Policy;
  /** `Kind namespace/name`. */
  readonly label: string;
}

/** Everything that a description is made of. */
export interface MeshFacts {
  readonly services: readonly KnownService[];
  readonly endpoints: readonly KnownEndpoint[];
  readonly workloads: readonly KnownWorkload[];
  readonly understood: Understood;
  readonly policies: readonly OwnedPolicy[];
  /** Null: the registry gives none. */
  readonly report: MeshReport | null;
  readonly trustDomain: string;
}

const PATIENCE_MS = 8_000;

/** Asks the registry for all of it. */
export async function readMeshFacts(config: Config): Promise<MeshFacts> {
  const [services, endpoints, workloads, holdings, report] = await Promise.all([
    readRegistry(config, "/v1/mesh/services", serviceList),
    readRegistry(config, "/v1/mesh/endpoints", endpointList),
    readRegistry(config, "/v1/mesh/workloads", workloadList),
    readHoldings(config),
    readReport(config),
  ]);
  const settings = analysisSettings(config);
  const nowMs = wallClock.now();
  const understood = understand({ given: [], holdings, judgesHoldings: true, settings, nowMs });
  const policies = understood.analyzed.flatMap(({ label, records }) =>
    records.flatMap((record) => (record.kind === "policy" ? [{ value: record.value, label }] : [])),
  );
  const { trustDomain } = config.identity;
  return { services, endpoints, workloads, understood, policies, report, trustDomain };
}

async function readReport(config: Config): Promise<MeshReport | null> {
  try {
    const path = "/v1/mesh/sight/report";
    const answer = await callRegistry(config, { method: "GET", path, timeoutMs: PATIENCE_MS });
    return meshReportSchema.safeParse(answer).data ?? null;
  } catch (reason) {
    // What is configured can be described without what is seen.
    if (reason instanceof CliError) return null;
    throw reason;
  }
}
