import type { Issue } from "../../core/schema-issue.ts";
import { ROUTE_RANKS, type RouteTable } from "../../core/traffic.ts";
import { INCOMPATIBLE_FILTERS } from "../../dialects/gateway/filters.ts";
import { isService, NO_FRONTEND } from "../../dialects/gateway/parents.ts";
import { isRecord } from "../api/objects.ts";
import { listOf, messageOf, textOf, type WantedCondition } from "./conditions.ts";
import type { MeshView, SeenService } from "./mesh-view.ts";
import { resolvedRefs } from "./resolved-refs.ts";
import type { WantedEntry } from "./shared-entries.ts";
import type { StatusObject } from "./status-object.ts";
import { linesOf, type Verdict } from "./verdict.ts";

/** A Service that a route names as its parent. */
interface Parent {
  /** As it stands in the route. */
  readonly ref: Readonly<Record<string, unknown>>;
  readonly service: string;
  readonly port: number | null;
  /** Name of a port. */
  readonly sectionName: string | null;
}

/** Status, reason and message of Accepted. */
type Answer = Pick<WantedCondition, "status" | "reason" | "message">;

const ACCEPTED: Answer = { status: "True", reason: "Accepted", message: "" };
const no = (reason: string, message: string): Answer => ({ status: "False", reason, message });

/** Conditions of an HTTPRoute or GRPCRoute, for each Service that it names; other parents are other controllers'. */
export function routeEntries(
  object: StatusObject,
  verdict: Verdict,
  mesh: MeshView,
): readonly WantedEntry[] {
  return parentsOf(object).map((parent) => ({
    ref: parent.ref,
    conditions:
      verdict.issues.length > 0
        ? refusedConditions(object, verdict, parent, mesh)
        : conditionsOf(object, verdict, parent, mesh),
  }));
}

/** Of a kind of route that no daemon carries out. */
export function unsupportedRouteEntries(object: StatusObject): readonly WantedEntry[] {
  const message = `the mesh does not act on a ${object.kind}: calls go on as if there were none`;
  return parentsOf(object).map(({ ref }) => ({
    ref,
    conditions: [accepted(no("UnsupportedValue", message), object.generation)],
  }));
}

function parentsOf({ spec, namespace: own }: StatusObject): Parent[] {
  return listOf(isRecord(spec) ? spec["parentRefs"] : undefined).flatMap((ref) => {
    const group = textOf(ref["group"], "gateway.networking.k8s.io");
    if (!isService(group, textOf(ref["kind"], "Gateway"))) return [];
    const { port, sectionName } = ref;
    return [
      {
        ref,
        service: `${textOf(ref["namespace"], own)}/${textOf(ref["name"], "")}`,
        port: typeof port === "number" ? port : null,
        sectionName: typeof sectionName === "string" ? sectionName : null,
      },
    ];
  });
}

function accepted(answer: Answer, observedGeneration: number): WantedCondition {
  return { type: "Accepted", ...answer, observedGeneration };
}

function conditionsOf(
  { kind, namespace, spec, generation }: StatusObject,
  { warnings }: Verdict,
  parent: Parent,
  mesh: MeshView,
): readonly WantedCondition[] {
  const bound = boundPorts(parent, mesh.service(parent.service));
  const answer = "status" in bound ? bound : conflictOf(kind, namespace, parent, bound.ports, mesh);
  // What it says of parents is told by their own conditions, and metadata is the API server's.
  const others = warnings.filter(({ path }) => !/^(spec\.parentRefs|metadata)\b/.test(path));
  const message = messageOf([answer.message, ...linesOf(others)].filter((text) => text !== ""));
  const own = answer.status === "True" ? { ...answer, message } : answer;
  return [accepted(own, generation), resolvedRefs(spec, namespace, mesh, generation)];
}

/** Which of the Service's ports the route is for; or why for none. Null: the Service has none of its own, and takes all. */
function boundPorts(
  { service: key, port, sectionName }: Parent,
  service: SeenService | null,
): Answer | { readonly ports: readonly (number | null)[] } {
  const none = (message: string) => no("NoMatchingParent", message);
  if (service === null) return none(`there is no Service ${key}`);
  if (service.form !== null) return none(`the Service ${key}: ${NO_FRONTEND[service.form]}`);
  if (service.ports.length === 0) return { ports: [port] };
  const named = service.ports.filter(
    (one) =>
      (port === null || one.port === port) && (sectionName === null || one.name === sectionName),
  );
  if (named.length === 0) {
    const name = [sectionName, port].filter((part) => part !== null).join(" with the number ");
    return none(`the Service ${key} has no port ${name} of TCP`);
  }
  // Connections to these are passed on as they are: there are no requests to route.
  const routed = named.filter(({ protocol }) => protocol !== "tcp" && protocol !== "tls");
  if (routed.length > 0) return { ports: routed.map((one) => one.port) };
  const which = named.map((one) => `${one.port} (${one.protocol})`).join(", ");
  return none(`the Service ${key} is declared to speak no HTTP on port ${which}`);
}

/**
 * Of several kinds of routes for the same Service and port one counts (GEP-1294, route types): GRPCRoute before HTTPRoute,
 * among those of producers, and among those of consumers in one namespace.
 */
function conflictOf(
  kind: string,
  own: string,
  { service }: Parent,
  ports: readonly (number | null)[],
  mesh: MeshView,
): Answer {
  const isProducer = service.startsWith(`${own}/`);
  const rank = rankOf(kind, isProducer);
  const rivals = mesh
    .tablesOf(service)
    .filter((table) => table.rank > rank && isOfClass(table, isProducer, own));
  const winners = ports.map((port) => rivals.find((table) => isFor(table, port)));
  const lost = winners.flatMap((winner, index) => (winner ? [String(ports[index])] : []));
  const [first] = winners.filter((winner) => winner !== undefined);
  if (first === undefined) return ACCEPTED;
  if (lost.length === ports.length) {
    return no("Conflicted", `${first.source} is bound to the same Service and port, and counts`);
  }
  return { ...ACCEPTED, message: `not for port ${lost.join(", ")}, where ${first.source} counts` };
}

function rankOf(kind: string, isProducer: boolean): number {
  const name = kind === "GRPCRoute" ? "grpcroute" : "httproute";
  return ROUTE_RANKS[`${name}-${isProducer ? "producer" : "consumer"}`];
}

function isOfClass({ clients }: RouteTable, isProducer: boolean, own: string): boolean {
  return isProducer ? clients === null : clients?.includes(own) === true;
}

function isFor(table: RouteTable, port: number | null): boolean {
  return table.port === undefined || table.port === port;
}

/**
 * What is refused leaves its last good form in force, if there is one: that is told as Gateway API asks for it
 * (RouteConditionPartiallyInvalid, "Fall Back").
 */
function refusedConditions(
  { kind, namespace, name, spec, generation }: StatusObject,
  { issues, inForce }: Verdict,
  { service }: Parent,
  mesh: MeshView,
): readonly WantedCondition[] {
  const source = `${kind} ${namespace}/${name}`;
  const isInForce = mesh.tablesOf(service).some((table) => table.source === source);
  const reason = reasonOf(issues);
  if (inForce === null || !isInForce) {
    const answer = no(reason, messageOf(linesOf(issues)));
    return [accepted(answer, generation), resolvedRefs(spec, namespace, mesh, generation)];
  }
  const before = `Fall Back to generation ${inForce.generation}`;
  return [
    accepted(ACCEPTED, inForce.generation),
    resolvedRefs(inForce.spec, namespace, mesh, inForce.generation),
    {
      ...{ type: "PartiallyInvalid", status: "True", reason, observedGeneration: generation },
      message: messageOf([before, ...linesOf(issues)]),
    },
  ];
}

function reasonOf(issues: readonly Issue[]): string {
  const isMix = issues.some(({ reason }) => reason === INCOMPATIBLE_FILTERS);
  return isMix ? "IncompatibleFilters" : "UnsupportedValue";
}
