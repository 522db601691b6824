import * as z from "zod";
import { ROUTE_RANKS, type RouteRule, type RouteTable } from "../../core/traffic.ts";
import { namespaceName } from "../envelope.ts";
import { portOfService } from "../kubernetes/known-service.ts";
import { differently, honoured } from "../support.ts";
import type { TranslatedValue, Work } from "../translator.ts";
import { portField, textField } from "../value-fields.ts";
import { objectName } from "./fields.ts";

const MAX_PARENTS = 32;

export const parentsField = z
  .array(
    z.strictObject({
      group: honoured(z.string().max(253), '`""` or `core` with the kind Service').default(
        "gateway.networking.k8s.io",
      ),
      kind: differently(
        textField,
        "`Service`; a parent of another kind (default: Gateway) has no effect, and a warning says so; a route with none but such is refused",
      ).default("Gateway"),
      namespace: honoured(
        namespaceName,
        "default: the route's own; another one makes it a consumer route, for callers of the route's namespace only",
      ).optional(),
      name: honoured(objectName),
      port: honoured(portField, "of the Service; default: all").optional(),
      sectionName: honoured(textField, "name of a port of the Service").optional(),
    }),
  )
  .max(MAX_PARENTS)
  .default([]);

type Parent = z.infer<typeof parentsField>[number];

/** Which calls a route is for. */
interface Binding {
  readonly service: string;
  readonly port: number | null;
  readonly clients: readonly string[] | null;
}

/** `Gateway of gateway.networking.k8s.io`, for people. */
export function kindOf(group: string, kind: string): string {
  return group === "" ? kind : `${kind} of ${group}`;
}

export function isService(group: string, kind: string): boolean {
  return (group === "" || group === "core") && kind === "Service";
}

/**
 * The tables of a route, one for each Service that it is bound to (GEP-1294). Of the producer's namespace it is for every
 * caller; of another for the callers of that, before all producers'.
 */
export function tablesOf(
  work: Work<unknown>,
  parents: readonly Parent[],
  ranks: "grpcroute" | "httproute",
  rules: readonly RouteRule[],
): readonly TranslatedValue[] {
  const bindings = bindingsOf(work, parents);
  return bindings.map(({ service, port, clients }) => {
    const value: RouteTable = {
      source: work.source,
      createdMs: work.context.createdMs,
      protocol: "http",
      role: "route",
      services: [service],
      ...(port === null ? {} : { port }),
      clients,
      rank: ROUTE_RANKS[`${ranks}-${clients === null ? "producer" : "consumer"}`],
      order: "specific",
      otherwise: "refuse",
      rules,
    };
    return { kind: "route", value };
  });
}

function bindingsOf(work: Work<unknown>, parents: readonly Parent[]): readonly Binding[] {
  const { namespace: own } = work.name;
  const seen = new Map<string, Set<number | null>>();
  const found: Binding[] = [];
  let services = 0;
  for (const [
    index,
    { group, kind, namespace = own, name, port, sectionName },
  ] of parents.entries()) {
    const at = ["spec", "parentRefs", index];
    if (!isService(group, kind)) {
      work.warn(
        [...at, "kind"],
        `no effect: the mesh has no ${kindOf(group, kind)}, routes are bound to a Service`,
      );
      continue;
    }
    services++;
    const number = portOf(work, at, `${namespace}/${name}`, port, sectionName);
    if (number === undefined) continue;
    const service = `${namespace}/${name}`;
    const ports = seen.get(service) ?? new Set();
    if (ports.has(number) || (ports.size > 0 && (number === null || ports.has(null)))) {
      work.refuse(at, `${service} is named twice: each time it needs a port of its own`);
    }
    seen.set(service, ports.add(number));
    found.push({ service, port: number, clients: namespace === own ? null : [own] });
  }
  if (services === 0) {
    const reason =
      'no parent is a Service: bind the route to one with {group: "", kind: Service, name: NAME}';
    work.refuse(["spec", "parentRefs"], reason);
  }
  return found;
}

/** The number of the port, null for all; undefined: there is no port of that name. */
function portOf(
  work: Work<unknown>,
  at: readonly PropertyKey[],
  service: string,
  port: number | undefined,
  sectionName: string | undefined,
): number | null | undefined {
  if (sectionName === undefined) return port ?? null;
  const [namespace = "", name = ""] = service.split("/");
  const number = portOfService(work.context, namespace, name, sectionName);
  if (number !== null && (port === undefined || port === number)) return number;
  const message =
    number === null
      ? `no effect until there is a Service ${service} with a port ${sectionName}`
      : `no effect: the port ${sectionName} of ${service} is ${number}, not ${port}`;
  work.warn([...at, "sectionName"], message);
  return undefined;
}
