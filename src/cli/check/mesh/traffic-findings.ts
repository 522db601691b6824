import { formatShare } from "../../../core/format-figures.ts";
import { judgeEndpoints } from "../../../sight/judge-endpoints.ts";
import type { MeshReport, ServiceFigures } from "../../../sight/mesh-report.ts";
import { verdictWords } from "../../sight/verdict-words.ts";
import { type Finding, failure, ok, warning } from "../finding.ts";

/** Below it a service counts as failing, and below the other as troubled. */
const FAILING = 0.9;
const TROUBLED = 0.99;
/** Fewer requests within the window say nothing about a share. */
const FEW_REQUESTS = 20;

/** Which services fail, which have nobody left to take requests, and which endpoint is worse than its peers? */
export function trafficFindings(report: MeshReport): Finding[] {
  const found = report.services.flatMap((service) => [
    ...failingFindings(service, report),
    ...endpointFindings(service),
    ...verdictFindings(service, report.windowMs),
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

/** The words of `describe` too, with a remedy. */
function verdictFindings(service: ServiceFigures, windowMs: number): Finding[] {
  const name = service.service;
  return judgeEndpoints(service, windowMs).flatMap((verdict) => {
    const words = verdictWords(verdict);
    if (words === null) return [];
    const { id, address, port, host } = verdict.endpoint;
    const text = `${name}: endpoint ${id} at ${address}:${port} on ${host} ${words}`;
    const failed = `hostmesh tap --to ${dotted(name)} --failed`;
    if (verdict.isFailing) return [failure(text, `Look at the log of ${id}; ${failed}.`)];
    const beside = `hostmesh stat ${dotted(name)} shows it beside its peers`;
    if (!verdict.isSlow) return [warning(text, `Look at the log of ${id}; ${beside}.`)];
    return [warning(text, `Look at ${id} itself (load, disk, its own calls). ${beside}.`)];
  });
}

/** `NAME.NAMESPACE`, as commands take it. */
function dotted(service: string): string {
  return service.split("/").toReversed().join(".");
}
