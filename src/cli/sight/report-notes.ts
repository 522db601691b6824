import type { MeshReport } from "../../sight/mesh-report.ts";

/** What the figures are of, and whose are missing: the last lines below every table. */
export function reportNotes({ hosts, windowMs }: MeshReport): string[] {
  const reporting = hosts.filter(({ state }) => state === "reporting");
  const missing = hosts.filter(({ state }) => state !== "reporting");
  const seconds = Math.round(windowMs / 1_000);
  if (reporting.length === 0) {
    return [
      "No daemon has reported. Start one: hostmesh daemon; hostmesh proxy-status lists them.",
    ];
  }
  const of = missing.length === 0 ? "" : ` of ${hosts.length}`;
  const hostsWord = hosts.length === 1 ? "host" : "hosts";
  const lines = [
    `Rates, success and percentiles are of the last ${seconds} s, seen by ${reporting.length}${of} ${hostsWord}.`,
  ];
  if (missing.length > 0) {
    const names = missing.slice(0, 5).map(({ host, state }) => `${host} (${state})`);
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : "";
    lines.push(`Missing: ${names.join(", ")}${more}; see hostmesh proxy-status.`);
  }
  return lines;
}
