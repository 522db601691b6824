import type { CertificateReport, WorkloadReport } from "../../../sight/host-report.ts";
import type { HostSummary, MeshReport, ServiceFigures } from "../../../sight/mesh-report.ts";
import type { ConfigResource } from "../net/types.ts";
import { formatDate, formatPercent, formatRate, formatSpan, plural } from "./format.ts";
import { DEGRADED, FAILING } from "./health.ts";
import { hrefOf } from "./route.ts";
import { endpointVerdicts } from "./slow-endpoint.ts";

/** Something that a person should look at. */
export interface Alert {
  /** `bad`: callers or security suffer now; `warn`: they will, or something works around it. */
  readonly level: "bad" | "warn";
  readonly title: string;
  readonly detail: string;
  readonly href: string;
}

/** Revisions that a host may be behind: while many changes come, one or two always are under way. */
const MOST_BEHIND = 5;
/** A certificate that is not renewed by then has been refused its renewal for hours: they come at half-life. */
const CERTIFICATE_SOON_MS = 2 * 3_600_000;
/** Part of a quota from which on a workload is said to be near it. */
export const NEAR_LIMIT = 0.8;

/** What is wrong, the worst first. `resources`: null, not known yet. */
export function alertsOf(report: MeshReport, resources: readonly ConfigResource[] | null): Alert[] {
  const alerts = [
    ...report.services.flatMap((service) => serviceAlerts(service, report.windowMs)),
    ...report.hosts.flatMap((host) => hostAlerts(host, report)),
    ...(resources ?? []).flatMap(resourceAlerts),
  ];
  return alerts.sort((a, b) => Number(a.level === "warn") - Number(b.level === "warn"));
}

function serviceAlerts(service: ServiceFigures, windowMs: number): Alert[] {
  const alerts: Alert[] = [];
  const href = hrefOf("services", service.service);
  const { success, rps } = service;
  if (success !== null && success < DEGRADED) {
    const level = success < FAILING ? "bad" : "warn";
    const detail = `${formatPercent(success)} of ${formatRate(rps)} requests a second succeed`;
    alerts.push({ level, title: `${service.service} fails`, detail, href });
  }
  for (const { endpoint, word, words } of endpointVerdicts(service, windowMs)) {
    if (word === "") continue;
    const title = `${service.service}: endpoint ${endpoint.id} is ${word}`;
    alerts.push({ level: "warn", title, detail: words, href });
  }
  const usable = service.endpoints.filter(({ health }) => health !== "critical");
  if (service.endpoints.length > 0 && usable.length === 0 && rps > 0) {
    const detail = `all ${service.endpoints.length} fail their health checks`;
    alerts.push({
      level: "bad",
      title: `${service.service} has no healthy endpoint`,
      detail,
      href,
    });
  }
  return alerts;
}

function hostAlerts(host: HostSummary, report: MeshReport): Alert[] {
  const href = hrefOf("hosts", host.host);
  const alert = (level: Alert["level"], title: string, detail: string): Alert => ({
    ...{ level, title: `${host.host} ${title}`, detail, href },
  });
  const certificates = host.certificates.flatMap((certificate) => {
    const trouble = certificateTrouble(certificate, report.atMs);
    return trouble === null ? [] : alert(trouble.level, trouble.title, certificate.identity);
  });
  const floods = host.workloads.flatMap((workload) => {
    const share = limitShare(workload);
    if (share < NEAR_LIMIT) return [];
    const detail = `${formatPercent(share)} of what this host allows a workload`;
    return alert("warn", `is flooded by ${workload.workload}`, detail);
  });
  return [...daemonAlerts(host, report.revision, alert), ...certificates, ...floods];
}

type MakeAlert = (level: Alert["level"], title: string, detail: string) => Alert;

function daemonAlerts(host: HostSummary, newest: number, alert: MakeAlert): Alert[] {
  const { refusal, state, revision, capture, workers } = host;
  const alerts: Alert[] = [];
  if (refusal !== null) {
    alerts.push(alert("bad", `refused revision ${refusal.revision}`, refusal.reason));
  } else if (state === "reporting" && (revision ?? 0) < newest - MOST_BEHIND) {
    const detail = `it acts on revision ${revision ?? "none"} of ${newest}`;
    alerts.push(alert("warn", "lags behind", detail));
  }
  if (state === "silent") {
    alerts.push(alert("warn", "does not answer", "it watches, but sent no report in time"));
  }
  if (state === "gone") {
    alerts.push(alert("bad", "is gone", "no daemon of it watches the registry"));
  }
  if (capture !== null && !capture.active && capture.mode !== "explicit") {
    const detail = `its capture (${capture.mode}) is not in force`;
    alerts.push(alert("bad", "captures no traffic", detail));
  }
  const dead = workers.filter(({ alive }) => !alive).length;
  if (dead > 0) alerts.push(alert("bad", `lost ${plural(dead, "worker")}`, "they start again"));
  return alerts;
}

/** What is wrong with a certificate, or null. */
export function certificateTrouble(
  { state, notAfterMs }: CertificateReport,
  nowMs: number,
): { readonly level: Alert["level"]; readonly title: string } | null {
  if (state === "missing") return { level: "bad", title: "has a workload without certificate" };
  if (state === "expired") return { level: "bad", title: "has an expired certificate" };
  const isSoon = notAfterMs !== null && notAfterMs - nowMs < CERTIFICATE_SOON_MS;
  if (state !== "overdue" && !isSoon) return null;
  if (notAfterMs === null) return { level: "warn", title: "could not renew a certificate" };
  const title = `has a certificate that ends in ${formatSpan(notAfterMs - nowMs)}`;
  return { level: isSoon ? "bad" : "warn", title };
}

/** The part of its fullest quota that a workload uses, 0 to 1. */
export function limitShare(workload: WorkloadReport): number {
  const part = (used: number, limit: number) => (limit > 0 ? used / limit : 0);
  return Math.max(
    part(workload.connections, workload.connectionLimit),
    part(workload.inFlight, workload.inFlightLimit),
  );
}

function resourceAlerts(resource: ConfigResource): Alert[] {
  if (resource.status === "accepted") return [];
  const name = `${resource.kind} ${resource.namespace}/${resource.name}`;
  const [first] = resource.findings;
  const isRefused = resource.status === "refused";
  const when = resource.appliedMs === null ? "" : ` (applied ${formatDate(resource.appliedMs)})`;
  return [
    {
      level: isRefused ? "bad" : "warn",
      title: isRefused ? `${name} is refused` : `${name} has warnings`,
      detail: `${first === undefined ? "no reason is given" : `${first.path}: ${first.message}`}${when}`,
      href: hrefOf("config", `${resource.kind}/${resource.namespace}/${resource.name}`),
    },
  ];
}
