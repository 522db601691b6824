import { formatAge } from "../../core/format-figures.ts";
import type { HostSummary } from "../../sight/mesh-report.ts";
import { hostFindings } from "../check/mesh/host-findings.ts";
import { usageText } from "./describe-workload.ts";
import { type Description, line } from "./description.ts";
import { certificateText, figuresText } from "./figures-line.ts";
import type { MeshFacts } from "./mesh-facts.ts";

/** The daemon of a host, what runs there and how it fares. */
export function describeHost(facts: MeshFacts, name: string): Description {
  const { report, workloads, endpoints } = facts;
  const summary = report?.hosts.find(({ host }) => host === name);
  const atMs = report?.atMs ?? 0;
  const usages = new Map(summary?.workloads.map((each) => [each.workload, each]));
  const sections = [
    {
      title: "daemon",
      lines:
        summary === undefined
          ? [line("nothing is known of it")]
          : daemonLines(summary, report?.revision ?? 0),
    },
    {
      title: "workloads",
      lines: workloads
        .filter(({ host }) => host === name)
        .map((each) => {
          const usage = usages.get(`${each.namespace}/${each.name}`);
          const used = usage === undefined ? "" : `: ${usageText(usage)}`;
          return line(`${each.namespace}/${each.name} at ${each.addresses.join(", ")}${used}`);
        }),
    },
    {
      title: "endpoints",
      lines: endpoints
        .filter(({ host }) => host === name)
        .map((each) =>
          line(
            `${each.namespace}/${each.service}: ${each.id} at ${each.address}:${each.port}, ${each.health}`,
          ),
        ),
    },
    {
      title: "certificates",
      lines: (summary?.certificates ?? []).map((each) =>
        line(`${each.identity}: ${certificateText(each, atMs)}`),
      ),
    },
  ];
  const findings =
    report === null || summary === undefined ? [] : hostFindings({ ...report, hosts: [summary] });
  const warnings = findings
    .filter(({ verdict }) => verdict !== "ok")
    .map(({ text, remedy }) => line(`${text}. ${remedy ?? ""}`.trim()));
  return { kind: "host", name, sections, warnings };
}

function daemonLines(summary: HostSummary, newest: number) {
  const { state, version, zone, uptimeMs, revision, refusal, capture, workers, figures } = summary;
  const alive = workers.filter((worker) => worker.alive).length;
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  return [
    line(`${state}, version ${version || "unknown"}, up ${formatAge(uptimeMs)}`),
    ...(zone === "" ? [] : [line(`zone ${zone}`)]),
    line(`revision ${revision ?? "none"} of ${newest}`),
    ...(refusal === null ? [] : [line(`refused revision ${refusal.revision}: ${refusal.reason}`)]),
    line(
      capture === null
        ? "capture: not known"
        : `capture: ${capture.mode}, ${capture.active ? "active" : "not active"}`,
    ),
    line(`workers: ${alive} of ${workers.length} alive, replaced ${restarts} times`),
    line(`now: ${figuresText(figures)}`),
  ];
}
