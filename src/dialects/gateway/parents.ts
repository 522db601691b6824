import * as z from "zod";
import { ROUTE_RANKS, type RouteRule, type RouteTable } from "../../core/traffic.ts";
import { namespaceName } from "../envelope.ts";
import {
  formOfKnownService,
  portOfService,
  type ServiceForm,
} from "../kubernetes/known-service.ts";
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
        "`Service`; a parent of another kind (default: Gateway) has no effect, and a warning says so; a headless Service and one of type ExternalName are no parents either",
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

/** Why a route cannot be bound to such a Service: it has no frontend of its own (GEP-1294, allowed service types). */
export const NO_FRONTEND: Readonly<Record<ServiceForm, string>> = {
  headless: "it is headless, callers dial the addresses of its Pods",
  "external-name": "it is of type ExternalName, another name for a host elsewhere",
};

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
  const seen = new Map<string, Set<number | null>>();
  const found = parents.flatMap((parent, index) => {
    const at = ["spec", "parentRefs", index];
    const binding = bindingOf(work, parent, at);
    if (binding === null) return [];
    const { service, port } = binding;
    const ports = seen.get(service) ?? new Set();
    if (ports.has(port) || (ports.size > 0 && (port === null || ports.has(null)))) {
      work.refuse(at, `${service} is named twice: each time it needs a port of its own`);
    }
    seen.set(service, ports.add(port));
    return [binding];
  });
  // Not refused: beside a mesh there are gateways, and routes that are for them alone.
  if (!parents.some(({ group, kind }) => isService(group, kind))) {
    const message =
      'no effect: no parent is a Service: bind the route to one with {group: "", kind: Service, name: NAME}';
    work.warn(["spec", "parentRefs"], message);
  }
  return found;
}

/** Null, after a warning: calls of that parent are not for the route. */
function bindingOf(
  work: Work<unknown>,
  { group, kind, namespace = work.name.namespace, name, port, sectionName }: Parent,
  at: readonly PropertyKey[],
): Binding | null {
  if (!isService(group, kind)) {
    const what = kindOf(group, kind);
    work.warn([...at, "kind"], `no effect: the mesh has no ${what}, routes are bound to a Service`);
    return null;
  }
  const service = `${namespace}/${name}`;
  const form = formOfKnownService(work.context, namespace, name);
  if (form !== null) {
    work.warn([...at, "name"], `no effect on ${service}: ${NO_FRONTEND[form]}`);
    return null;
  }
  const number = portOf(work, at, service, port, sectionName);
  if (number === undefined) return null;
  const { namespace: own } = work.name;
  return { service, port: number, clients: namespace === own ? null : [own] };
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
