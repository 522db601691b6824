import { canonicalAddress } from "../../core/address.ts";
import { formatMs, formatShare } from "../../core/format-figures.ts";
import type { PolicyTarget } from "../../core/policy.ts";
import { judgeEndpoints } from "../../sight/judge-endpoints.ts";
import type { EndpointFigures, ServiceFigures } from "../../sight/mesh-report.ts";
import { verdictWords } from "../sight/verdict-words.ts";
import { accessSections } from "./access-section.ts";
import { type Description, type Line, line } from "./description.ts";
import { certificateText, edgeText, figuresText } from "./figures-line.ts";
import type { KnownEndpoint, KnownWorkload, MeshFacts } from "./mesh-facts.ts";
import { routeSections } from "./route-section.ts";

/** What holds for a service and its workloads, and how it fares. */
export function describeService(facts: MeshFacts, key: string): Description {
  const { services, report, understood } = facts;
  const service = services.find((one) => `${one.namespace}/${one.name}` === key);
  const endpoints = endpointsOf(facts, key);
  const seen = report?.services.find((one) => one.service === key);
  const workloads = workloadsOf(facts, endpoints);
  const targets = workloads.map((each) => targetOf(facts, each));
  const figures = new Map(seen?.endpoints.map((each) => [each.id, each]));
  const callers = report?.edges.filter(({ destination }) => destination === key) ?? [];
  const { world } = understood;
  const sections = [
    {
      title: "service",
      lines: serviceLines(service, seen === undefined ? null : figuresText(seen)),
    },
    {
      title: "endpoints",
      lines: endpoints.map((each) => line(endpointText(each, figures.get(each.id)))),
    },
    ...routeSections(world, key, endpoints),
    ...accessSections(facts, targets),
    { title: "identities", lines: identityLines(facts, workloads) },
    { title: "callers now", lines: callers.map((edge) => line(edgeText(edge, edge.source))) },
  ];
  const warnings = [
    ...healthWarnings(endpoints, figures),
    ...trafficWarnings(seen, report?.windowMs ?? 0),
    ...findingsAbout(facts, key, targets),
  ];
  return { kind: "service", name: key, sections, warnings };
}

function serviceLines(
  service: MeshFacts["services"][number] | undefined,
  live: string | null,
): Line[] {
  if (service === undefined) return [line("nobody has registered it")];
  const { addresses, protocol, balancer } = service;
  const ports = (service["ports"] as { name: string; port: number; protocol?: string }[]) ?? [];
  const portTexts = ports.map((one) =>
    [one.port, one.name, one.protocol ?? ""].filter((part) => part !== "").join(" "),
  );
  const resource = typeof service["resource"] === "string" ? service["resource"] : null;
  return [
    line(`addresses: ${addresses.join(", ") || "none"}`, resource),
    line(`ports: ${portTexts.join(", ") || "any"}`, resource),
    line(
      `protocol: ${protocol ?? "found out by the first bytes, where no port says it"}`,
      resource,
    ),
    line(`balancing: ${balancer.policy}, where no policy says otherwise`, resource),
    ...(live === null ? [] : [line(`now: ${live}`)]),
  ];
}

function endpointText(endpoint: KnownEndpoint, seen: EndpointFigures | undefined): string {
  const { id, address, port, host, health, weight } = endpoint;
  const place = `${id} at ${address}:${port} on ${host || "no host of the mesh"}: ${health}, weight ${weight}`;
  if (seen === undefined) return place;
  const latency = seen.latencyEwmaMs === null ? "" : `, cost ${formatMs(seen.latencyEwmaMs)}`;
  const share = seen.share === null ? "" : `, ${formatShare(seen.share)} of the requests`;
  const ejected = seen.ejectedBy.length === 0 ? "" : `, EJECTED by ${seen.ejectedBy.join(", ")}`;
  return `${place}; ${figuresText(seen)}${latency}${share}${ejected}`;
}

export function endpointsOf({ endpoints }: MeshFacts, key: string): KnownEndpoint[] {
  return endpoints.filter(({ namespace, service }) => `${namespace}/${service}` === key);
}

/** The workloads that endpoints are: by what the record says, else by host and address. */
function workloadsOf(facts: MeshFacts, endpoints: readonly KnownEndpoint[]): KnownWorkload[] {
  return facts.workloads.filter((one) => endpoints.some((endpoint) => isAt(one, endpoint)));
}

export function isAt(workload: KnownWorkload, endpoint: KnownEndpoint): boolean {
  const named = endpoint["workload"];
  if (typeof named === "string") return named === `${workload.namespace}/${workload.name}`;
  const address = canonicalAddress(endpoint.address);
  return (
    workload.host === endpoint.host &&
    workload.addresses.some((each) => canonicalAddress(each) === address)
  );
}

/** The workload as policies select it. */
export function targetOf(facts: MeshFacts, workload: KnownWorkload): PolicyTarget {
  const { namespace, name, serviceAccount, labels = {} } = workload;
  const services = facts.endpoints
    .filter((endpoint) => endpoint.namespace === namespace && isAt(workload, endpoint))
    .map(({ service }) => service);
  return {
    key: `${namespace}/${name}`,
    ...{ namespace, serviceAccount, labels, services: [...new Set(services)] },
    identity: `spiffe://${facts.trustDomain}/ns/${namespace}/sa/${serviceAccount}`,
  };
}

export function identityLines(facts: MeshFacts, workloads: readonly KnownWorkload[]): Line[] {
  const lines = workloads.map((workload) => {
    const { identity, key } = targetOf(facts, workload);
    const host = facts.report?.hosts.find((one) => one.host === workload.host);
    const certificate = host?.certificates.find((one) => one.identity === identity);
    const state =
      certificate === undefined || facts.report === null
        ? "its host tells of no certificate"
        : certificateText(certificate, facts.report.atMs);
    return line(`${key} on ${workload.host}: ${identity}, ${state}`);
  });
  return lines.length > 0 ? lines : [line("none: no endpoint is a workload of the mesh")];
}

function healthWarnings(
  endpoints: readonly KnownEndpoint[],
  figures: ReadonlyMap<string, EndpointFigures>,
): Line[] {
  if (endpoints.length === 0) return [line("it has no endpoint")];
  const usable = endpoints.filter(
    ({ id, health, weight }) =>
      health !== "critical" && weight > 0 && (figures.get(id)?.ejectedBy.length ?? 0) === 0,
  );
  return usable.length > 0 ? [] : [line("no endpoint takes requests")];
}

/** Which endpoints do worse than their peers. */
function trafficWarnings(seen: ServiceFigures | undefined, windowMs: number): Line[] {
  if (seen === undefined) return [];
  return judgeEndpoints(seen, windowMs).flatMap((verdict) => {
    const words = verdictWords(verdict);
    return words === null ? [] : [line(`endpoint ${verdict.endpoint.id} ${words}`)];
  });
}

/** What the analysis finds of the resources that speak of the service or select its workloads. */
export function findingsAbout(
  { understood, policies }: MeshFacts,
  key: string | null,
  targets: readonly PolicyTarget[],
): Line[] {
  const { world, findings } = understood;
  const speaking =
    key === null ? [] : [...world.tablesMeeting([key]), ...world.policiesMeeting(key)];
  const near = new Set(speaking.map(({ by }) => by.label));
  const namespaces = new Set(targets.map(({ namespace }) => namespace));
  for (const { value, label } of policies) {
    if (value.scope.namespace !== null && namespaces.has(value.scope.namespace)) near.add(label);
  }
  return findings
    .filter(({ resource, level }) => level !== "info" && near.has(resource))
    .map(({ code, path, message, resource }) =>
      line(`${code}: ${path === "" ? "" : `${path}: `}${message}`, resource),
    );
}
