import type * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { wallClock } from "../../core/clock.ts";
import type { Policy } from "../../core/policy.ts";
import type { MeshReport } from "../../sight/mesh-report.ts";
import { type Understood, understand } from "../analyze/analyze.ts";
import { analysisSettings, readHoldings } from "../analyze/registry-side.ts";
import { readRegistry } from "../registry.ts";
import { endpointList, serviceList, workloadList } from "../service-records.ts";
import { readMeshReport } from "../sight/read-mesh-report.ts";

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

/** Asks the registry for all of it. */
export async function readMeshFacts(config: Config): Promise<MeshFacts> {
  const [services, endpoints, workloads, holdings, told] = await Promise.all([
    readRegistry(config, "/v1/mesh/services", serviceList),
    readRegistry(config, "/v1/mesh/endpoints", endpointList),
    readRegistry(config, "/v1/mesh/workloads", workloadList),
    readHoldings(config),
    readMeshReport(config),
  ]);
  // What is configured can be described without what is seen.
  const report = typeof told === "string" ? null : told;
  const settings = analysisSettings(config);
  const nowMs = wallClock.now();
  const understood = understand({ given: [], holdings, judgesHoldings: true, settings, nowMs });
  const policies = understood.analyzed.flatMap(({ label, records }) =>
    records.flatMap((record) => (record.kind === "policy" ? [{ value: record.value, label }] : [])),
  );
  const { trustDomain } = config.identity;
  return { services, endpoints, workloads, understood, policies, report, trustDomain };
}
