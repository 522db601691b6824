import { formatMs, formatShare } from "../../../core/format-figures.ts";
import type { EndpointFigures, MeshReport, ServiceFigures } from "../../../sight/mesh-report.ts";
import { type Finding, failure, ok, warning } from "../finding.ts";

/** Below it a service counts as failing, and below the other as troubled. */
const FAILING = 0.9;
const TROUBLED = 0.99;
/** Fewer requests within the window say nothing about a share. */
const FEW_REQUESTS = 20;
/** So many times the median of its peers, and by so much: an endpoint that is slow and not only unlucky. */
const SLOW_FACTOR = 3;
const SLOW_MS = 20;

/** Which services fail, which have nobody left to take requests, and which endpoint is worse than its peers? */
export function trafficFindings(report: MeshReport): Finding[] {
  const found = report.services.flatMap((service) => [
    ...failingFindings(service, report),
    ...endpointFindings(service),
    ...slowFindings(service),
    ...worseFindings(service, report.windowMs),
  ]);
  if (found.length > 0) return found;
  const seconds = Math.round(report.windowMs / 1_000);
  return [ok(`no service fails, and no endpoint is worse than its peers (last ${seconds} s)`)];
}

function failingFindings(service: ServiceFigures, report: MeshReport): Finding[] {
  const { success, rps, service: name } = service;
  const requests = (rps * report.windowMs) / 1_000;
  if (success === null || success >= TROUBLED || requests < FEW_REQUESTS) return [];
  const errors = Object.entries(service.errors).sort(([, a], [, b]) => b - a);
  const [code] = errors[0] ?? [];
  const seen = report.recentErrors.find(({ destination }) => destination === name);
  const example =
    seen === undefined
      ? ""
      : `; last: ${seen.method} ${seen.path} from ${seen.source} to ${seen.endpoint ?? "no endpoint"} got ${seen.status}${seen.error === null ? "" : ` ${seen.error}`}`;
  const most =
    code === undefined ? "; the endpoints answer with failures" : `; most since the start: ${code}`;
  const text = `${name}: ${formatShare(1 - success)} of ${Math.round(requests)} requests fail${most}${example}`;
  const remedy = `hostmesh describe svc/${dotted(name)}, hostmesh tap --to ${dotted(name)} --failed; docs/errors.md says what a code means.`;
  return [success < FAILING ? failure(text, remedy) : warning(text, remedy)];
}

function endpointFindings({ service, endpoints }: ServiceFigures): Finding[] {
  const serving = endpoints.filter(({ weight }) => weight > 0);
  if (serving.length === 0) return [];
  const ejected = serving.filter(({ ejectedBy }) => ejectedBy.length > 0);
  const usable = serving.filter(
    ({ ejectedBy, health }) => ejectedBy.length === 0 && health !== "critical",
  );
  if (ejected.length === 0) return [];
  const names = ejected.map(({ id, ejectedBy }) => `${id} by ${ejectedBy.join(", ")}`);
  const text = `${service}: ${ejected.length} of ${serving.length} endpoints are ejected: ${names.slice(0, 3).join("; ")}`;
  const remedy = `They failed or were slow too often: hostmesh stat ${dotted(service)}, and the log of ${ejected[0]?.id}.`;
  return [usable.length === 0 ? failure(`${text}; none is left`, remedy) : warning(text, remedy)];
}

function slowFindings({ service, endpoints }: ServiceFigures): Finding[] {
  const measured = endpoints.flatMap((one) => {
    const ms = latencyOf(one);
    return ms === null ? [] : [{ one, ms }];
  });
  return measured.flatMap(({ one, ms }) => {
    const others = measured.filter((other) => other.one !== one).map((other) => other.ms);
    const usual = median(others);
    if (usual === null || ms < SLOW_FACTOR * usual || ms - usual < SLOW_MS) return [];
    const share = one.share === null ? "" : `; it gets ${formatShare(one.share)} of the requests`;
    const text = `${service}: endpoint ${one.id} at ${one.address}:${one.port} on ${one.host} takes ${formatMs(ms)}, its peers ${formatMs(usual)}${share}`;
    return [
      warning(
        text,
        `Look at ${one.id} itself (load, disk, its own calls). hostmesh stat ${dotted(service)} shows it beside its peers.`,
      ),
    ];
  });
}

/** The balancer's estimate moves on with what it last saw; the median of what was measured goes before it. */
function latencyOf({ p50Ms, latencyEwmaMs }: EndpointFigures): number | null {
  return p50Ms ?? latencyEwmaMs;
}

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
}

/** An endpoint that fails while its peers do not. */
function worseFindings({ service, endpoints }: ServiceFigures, windowMs: number): Finding[] {
  const busy = endpoints.filter(
    ({ success, rps }) => success !== null && (rps * windowMs) / 1_000 >= FEW_REQUESTS / 2,
  );
  return busy.flatMap((one) => {
    const peers = busy.filter((other) => other !== one);
    const bad = one.success !== null && one.success < FAILING;
    const alone = peers.length > 0 && peers.every(({ success }) => (success ?? 0) >= TROUBLED);
    if (!bad || !alone) return [];
    const text = `${service}: endpoint ${one.id} at ${one.address}:${one.port} on ${one.host} fails ${formatShare(1 - (one.success ?? 0))} of its requests, its peers none`;
    return [
      failure(text, `Look at the log of ${one.id}; hostmesh tap --to ${dotted(service)} --failed.`),
    ];
  });
}

/** `NAME.NAMESPACE`, as commands take it. */
function dotted(service: string): string {
  return service.split("/").toReversed().join(".");
}
