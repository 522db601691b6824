import { X509Certificate } from "node:crypto";
import * as z from "zod";
import type { Config } from "../../../config/schema.ts";
import { formatAge } from "../../../core/format-figures.ts";
import type { MeshReport } from "../../../sight/mesh-report.ts";
import { CliError } from "../../cli-error.ts";
import { readRegistry } from "../../registry.ts";
import { readMeshReport } from "../../sight/read-mesh-report.ts";
import { type CheckGroup, type Finding, failure, ok, skipped, warning } from "../finding.ts";
import { hostFindings } from "./host-findings.ts";
import { resourceFindings } from "./resource-findings.ts";
import { trafficFindings } from "./traffic-findings.ts";

/** Certificates are valid from a little before they are made; more skew than that makes them invalid elsewhere. */
const SKEW_MS = 5_000;
const DAY_MS = 86_400_000;
/** A new authority must reach every daemon before the old one ends. */
const AUTHORITY_SOON_MS = 30 * DAY_MS;

const trust = z.looseObject({ anchors: z.array(z.string()) });

/** What only the registry knows: the hosts and the traffic of the whole mesh, its resources, its authority. */
export function meshGroups(config: Config): CheckGroup[] {
  let report: Promise<MeshReport | string> | null = null;
  const read = () => {
    report ??= readMeshReport(config);
    return report;
  };
  const fromReport = (title: string, look: (report: MeshReport) => Finding[]): CheckGroup => ({
    title,
    async run() {
      const told = await read();
      return typeof told === "string" ? [skipped(told)] : look(told);
    },
  });
  return [
    fromReport("mesh", (seen) => [...skewFindings(seen), ...hostFindings(seen)]),
    fromReport("traffic", trafficFindings),
    { title: "resources", run: () => unlessAway(() => resourceFindings(config)) },
    { title: "authority", run: () => unlessAway(() => authorityFindings(config)) },
  ];
}

async function unlessAway(look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (reason) {
    if (reason instanceof CliError) return [skipped(reason.message)];
    throw reason;
  }
}

function skewFindings({ atMs }: MeshReport, nowMs = Date.now()): Finding[] {
  const skewMs = atMs - nowMs;
  // The report may be as old as its cache and as long under way as the slowest daemon.
  if (Math.abs(skewMs) < SKEW_MS) return [];
  return [
    warning(
      `the registry's clock is ${formatAge(Math.abs(skewMs))} ${skewMs > 0 ? "ahead of" : "behind"} this host's`,
      "Let both follow NTP (timedatectl status): certificates are judged by the clock.",
    ),
  ];
}

async function authorityFindings(config: Config): Promise<Finding[]> {
  const { anchors } = await readRegistry(config, "/v1/identity/trust", trust);
  const now = Date.now();
  const ends = anchors.map((pem) => Date.parse(new X509Certificate(pem).validTo));
  if (ends.length === 0) return [ok("no authority: the mesh has no identities")];
  const left = Math.max(...ends) - now;
  const remedy = "hostmesh identity rotate-ca makes a new one without an interruption.";
  if (left <= 0) return [failure("the mesh's authority has expired", remedy)];
  const text = `the mesh's authority is valid for ${formatAge(left)} more`;
  return [left < AUTHORITY_SOON_MS ? warning(text, remedy) : ok(text)];
}
