import { MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import { type Origin, sourceNamespace } from "./context.ts";
import type { Plane } from "./plane.ts";
import type { Destination } from "./resolve.ts";
import { calledPort, livingOf } from "./route-backend.ts";

/**
 * Where an opaque connection goes by the TCP rules of the service that was called; `facts` learn which one it was. Throws
 * `ROUTE_NOT_FOUND` where it has rules and none matches.
 */
export function routeTcp(
  plane: Plane,
  origin: Origin,
  destination: Destination,
  facts: RequestFacts,
): Destination {
  if (destination.kind === "outside" || origin.peer !== null) return destination;
  const { cluster: called, fixed } = destination;
  if (fixed !== null || called.plain) return destination;
  const namespace = sourceNamespace(origin);
  const source = { namespace, labels: origin.workload?.labels ?? {} };
  const address = origin.destination?.host ?? "";
  const port = calledPort(called, origin, null);
  const connection = { address, port, source };
  const found = plane.routes.setOf(called.service)?.findTcp(connection) ?? null;
  if (found === null) return destination;
  if (found === "refuse") {
    throw new MeshError("ROUTE_NOT_FOUND", `no TCP rule of ${called.service.key} matches`);
  }
  facts.route = found.rule.label;
  const parts = plane.routes.partsOf(found.rule);
  const backend = parts.backends[found.rule.pickBackend()];
  if (backend === undefined) return destination;
  const caller = { plane, namespace, port, source: found.rule.source };
  return { kind: "cluster", cluster: livingOf(caller, backend).cluster, fixed: null };
}
