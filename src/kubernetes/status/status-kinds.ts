import { translators } from "../../dialects/translators.ts";
import type { ApiResource } from "../api/objects.ts";
import { byPriority, type WantedKind } from "../api/wanted-kinds.ts";
import { istioPatch } from "./istio-status.ts";
import type { MeshView } from "./mesh-view.ts";
import { policyEntries } from "./policy-status.ts";
import { routeEntries, unsupportedRouteEntries } from "./route-status.ts";
import { ANCESTORS, entriesPatch, PARENTS } from "./shared-entries.ts";
import type { StatusObject } from "./status-object.ts";
import type { Verdict } from "./verdict.ts";

type Patch = Readonly<Record<string, unknown>> | null;

/** A kind whose status tells what the mesh makes of it. */
export interface StatusKind extends WantedKind {
  readonly plural: string;
  /** False: the registry does not know the kind, and that is what its status says. */
  readonly translated: boolean;
  /** What its status must be patched with; null: nothing. `verdict` is null only for what is not translated. */
  patchOf(object: StatusObject, verdict: Verdict | null, mesh: MeshView, now: string): Patch;
}

const GATEWAY = "gateway.networking.k8s.io";

const route = (kind: string): StatusKind => ({
  ...{ group: GATEWAY, kind, plural: pluralOf(kind), versions: versionsOf(GATEWAY, kind) },
  translated: true,
  patchOf: (object, verdict, mesh, now) =>
    verdict && entriesPatch(object.status, PARENTS, routeEntries(object, verdict, mesh), now),
});

/** Routes of layer 4 have been there in alpha versions for long, and become stable one by one. */
const unsupportedRoute = (kind: string): StatusKind => ({
  ...{ group: GATEWAY, kind, plural: pluralOf(kind) },
  versions: ["v1", "v1beta1", "v1alpha3", "v1alpha2"],
  translated: false,
  patchOf: (object, _verdict, _mesh, now) =>
    entriesPatch(object.status, PARENTS, unsupportedRouteEntries(object), now),
});

const policy = (group: string, kind: string, plural: string): StatusKind => ({
  ...{ group, kind, plural, versions: versionsOf(group, kind), translated: true },
  patchOf: (object, verdict, mesh, now) =>
    verdict && entriesPatch(object.status, ANCESTORS, policyEntries(object, verdict, mesh), now),
});

/**
 * Kinds with a status that is ours to write. SMI's have none; those of Linkerd have one that Linkerd's own controller
 * writes without saying in whose name.
 */
export const STATUS_KINDS: readonly StatusKind[] = [
  ...["HTTPRoute", "GRPCRoute"].map(route),
  ...["TLSRoute", "TCPRoute", "UDPRoute"].map(unsupportedRoute),
  policy("gateway.networking.x-k8s.io", "XBackendTrafficPolicy", "xbackendtrafficpolicies"),
  ...translators
    .filter(({ dialect }) => dialect === "Istio")
    .map(
      ({ group, kind }): StatusKind => ({
        ...{ group, kind, plural: pluralOf(kind), versions: versionsOf(group, kind) },
        translated: true,
        patchOf: (object, verdict, _mesh, now) => verdict && istioPatch(object, verdict, now),
      }),
    ),
];

const byName = new Map(STATUS_KINDS.map((one) => [`${one.group}/${one.kind}`, one]));

export function statusKindOf({ group, kind }: Pick<ApiResource, "group" | "kind">) {
  return byName.get(`${group}/${kind}`);
}

function versionsOf(group: string, kind: string): readonly string[] {
  return translators
    .filter((one) => one.group === group && one.kind === kind)
    .flatMap(({ forms }) => forms.flatMap(({ versions }) => versions))
    .sort(byPriority);
}

/** As these kinds have it in paths. */
function pluralOf(kind: string): string {
  const lower = kind.toLowerCase();
  return lower.endsWith("y") ? `${lower.slice(0, -1)}ies` : `${lower}s`;
}
