import * as z from "zod";
import type { RouteMatch, RouteRule } from "../../core/traffic.ts";
import { honoured, refused } from "../support.ts";
import { subnetField } from "../value-fields.ts";
import { checkWeights, destinationField, refOf, warnOfDestination } from "./destination.ts";
import { callerFields, isForMesh } from "./http-match.ts";
import { weightField } from "./http-route.ts";
import type { Place } from "./http-rule.ts";
import { present } from "./present.ts";

const tcpMatchField = z.strictObject({
  destinationSubnets: honoured(z.array(subnetField).min(1).max(256)).optional(),
  ...callerFields,
  sourceSubnet: refused("Istio does not act on it: use sourceLabels or sourceNamespace"),
});

/** One of `spec.tcp` of a VirtualService. */
export const tcpRouteField = z.strictObject({
  match: z.array(tcpMatchField).max(128).optional(),
  route: z
    .array(z.strictObject({ destination: destinationField, weight: weightField }))
    .min(1, "must name a destination")
    .max(64),
});

type TcpRoute = z.infer<typeof tcpRouteField>;

const ONLY_WEIGHT = 100;

/** One rule of the model; null: none of its matches is for the mesh. */
export function toTcpRule(route: TcpRoute, { work, path, namespace }: Place): RouteRule | null {
  const given = route.match ?? [];
  const matches = given.flatMap((match, index): RouteMatch[] => {
    const { destinationSubnets, port, sourceLabels, sourceNamespace, gateways } = match;
    if (!isForMesh(gateways, work, [...path, "match", index, "gateways"])) return [];
    return [present({ destinationSubnets, port, sourceLabels, sourceNamespace })];
  });
  const place = [...path, "route"];
  checkWeights(work, place, route.route);
  const backends = route.route.map(({ destination, weight }, index) => {
    warnOfDestination(work, [...place, index, "destination"], destination);
    const only = route.route.length === 1 ? ONLY_WEIGHT : 0;
    return { ...refOf(destination, namespace), weight: weight ?? only };
  });
  if (given.length > 0 && matches.length === 0) {
    work.warn(path, "left out: none of its matches is for mesh");
    return null;
  }
  return { name: "", matches, action: { kind: "forward", backends } };
}
