import { formatBytes } from "../../core/format-figures.ts";
import { covers } from "../../core/policy.ts";
import { accessSections } from "./access-section.ts";
import { findingsAbout, identityLines, isAt, targetOf } from "./describe-service.ts";
import { type Description, type Line, line } from "./description.ts";
import { edgeText } from "./figures-line.ts";
import type { KnownWorkload, MeshFacts } from "./mesh-facts.ts";
import { labelText } from "./route-section.ts";

/** What selects a workload, who may call it, whom it calls, and how much of its quotas it uses. */
export function describeWorkload(facts: MeshFacts, workload: KnownWorkload): Description {
  const target = targetOf(facts, workload);
  const { key } = target;
  const { report, policies } = facts;
  const calls = report?.edges.filter(({ source }) => source === key) ?? [];
  const served = facts.endpoints.filter((endpoint) => isAt(workload, endpoint));
  const host = report?.hosts.find((one) => one.host === workload.host);
  const usage = host?.workloads.find((one) => one.workload === key);
  const scopes = facts.understood.analyzed.flatMap(({ label, records }) =>
    records.flatMap((record): Line[] => {
      if (record.kind !== "scope") return [];
      const { namespace, labels, egress, outside } = record.value;
      const isOwn = namespace === null || namespace === workload.namespace;
      const fits = Object.entries(labels).every(([name, value]) => target.labels[name] === value);
      if (!isOwn || !fits) return [];
      const leaves = outside === null ? "" : `; outside the mesh: ${outside}`;
      return [line(`sees ${egress?.join(", ") ?? "everything"}${leaves}`, label)];
    }),
  );
  const selected = policies.some(({ value }) => covers(value.scope, target));
  const sections = [
    {
      title: "workload",
      lines: [
        line(`host: ${workload.host}`),
        line(`addresses: ${workload.addresses.join(", ")}`),
        line(`service account: ${workload.serviceAccount}`),
        line(`labels: ${labelText(target.labels) || "none"}`),
      ],
    },
    {
      title: "serves",
      lines: served.map(({ namespace, service, port, health }) =>
        line(`${namespace}/${service} at port ${port}: ${health}`),
      ),
    },
    { title: "identity", lines: identityLines(facts, [workload]) },
    ...(scopes.length > 0 ? [{ title: "what it sees", lines: scopes }] : []),
    ...accessSections(facts, [target]),
    { title: "calls now", lines: calls.map((edge) => line(edgeText(edge, edge.destination))) },
    ...(usage === undefined ? [] : [{ title: "quotas", lines: [line(usageText(usage))] }]),
  ];
  const warnings = [
    ...(served.length === 0 && selected
      ? [line("policies select it, but it serves nothing that is registered")]
      : []),
    ...findingsAbout(facts, null, [target]),
  ];
  return { kind: "workload", name: key, sections, warnings };
}

interface Usage {
  readonly connections: number;
  readonly connectionLimit: number;
  readonly inFlight: number;
  readonly inFlightLimit: number;
  readonly bufferedBytes: number;
  readonly refused: number;
}

export function usageText(usage: Usage): string {
  const { connections, connectionLimit, inFlight, inFlightLimit, bufferedBytes, refused } = usage;
  return `${connections} of ${connectionLimit} connections, ${inFlight} of ${inFlightLimit} requests in flight, ${formatBytes(bufferedBytes)} buffered, ${refused} refused since the start`;
}
