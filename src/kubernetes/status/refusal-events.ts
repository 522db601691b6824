import { CORE_GROUP } from "../../dialects/envelope.ts";
import { isService } from "../../dialects/gateway/parents.ts";
import type { Catalog } from "../../registry/catalog.ts";
import type { StoredResource } from "../../registry/records.ts";
import { isRecord } from "../api/objects.ts";
import { listOf, messageOf, textOf } from "./conditions.ts";
import type { MeshView } from "./mesh-view.ts";
import type { Refusal } from "./refusals.ts";
import { linesOf } from "./verdict.ts";

/** Something about an object that its owner should hear of. */
export interface Notice {
  readonly regarding: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
  /** Of the specification that it is about. */
  readonly generation: number;
  readonly reason: "Refused" | "BackendWithoutPort";
  readonly note: string;
}

const GATEWAY = "gateway.networking.k8s.io";

/** What an API server's own controllers write, in great numbers. */
const SILENT_KINDS: ReadonlySet<string> = new Set(
  ["Endpoints", "Namespace", "Node", "Pod", "ServiceAccount"].map(
    (kind) => `${CORE_GROUP}/${kind}`,
  ),
).add("discovery.k8s.io/EndpointSlice");

/** Null: it is nobody's mistake. */
export function refusalNotice({ key, object, issues }: Refusal): Notice | null {
  const [group = "", kind = ""] = key.split("/");
  if (SILENT_KINDS.has(`${group}/${kind}`)) return null;
  // A route that names no Service is for a gateway, which may know what we do not.
  if (group === GATEWAY && !namesService(object["spec"])) return null;
  const note = messageOf(linesOf(issues));
  return { ...placeOf(object), reason: "Refused", note };
}

/**
 * A backend of a TrafficSplit gets nothing at a port that it does not have (SMI traffic-split, Ports: such is told by
 * an Event). Null: each has all ports of the root, or is not there yet.
 */
export function splitNotice(resource: StoredResource, mesh: MeshView): Notice | null {
  const { content, namespace } = resource;
  const spec = isRecord(content["spec"]) ? content["spec"] : {};
  const root = mesh.service(keyOf(spec["service"], namespace));
  if (root === null) return null;
  const missing = listOf(spec["backends"]).flatMap(({ service }) => {
    const key = keyOf(service, namespace);
    const backend = mesh.service(key);
    // One without ports of its own takes any.
    if (backend === null || backend.ports.length === 0) return [];
    const has = new Set(backend.ports.map(({ port }) => port));
    const lacks = root.ports.filter(({ port }) => !has.has(port)).map(({ port }) => port);
    return lacks.length === 0 ? [] : [`${key} has no port ${lacks.join(", ")}`];
  });
  if (missing.length === 0) return null;
  return { ...placeOf(content), reason: "BackendWithoutPort", note: messageOf(missing) };
}

/** All that is to be told of the mesh as it is. */
export function noticesOf(
  refusals: Iterable<Refusal>,
  catalog: Pick<Catalog, "all">,
  mesh: MeshView,
): Notice[] {
  const refused = [...refusals].map(refusalNotice);
  const splits = catalog
    .all("resource")
    .filter(({ value }) => value.kind === "TrafficSplit")
    .map(({ value }) => splitNotice(value, mesh));
  return [...refused, ...splits].filter((notice) => notice !== null);
}

function namesService(spec: unknown): boolean {
  return listOf(isRecord(spec) ? spec["parentRefs"] : undefined).some(({ group, kind }) =>
    isService(textOf(group, GATEWAY), textOf(kind, "Gateway")),
  );
}

/** `name`, `name.namespace` or longer: SMI takes all of these. */
function keyOf(service: unknown, own: string): string {
  const [name = "", namespace = own] = textOf(service, "").split(".");
  return `${namespace}/${name}`;
}

function placeOf(
  content: Readonly<Record<string, unknown>>,
): Pick<Notice, "regarding" | "generation"> {
  const metadata = isRecord(content["metadata"]) ? content["metadata"] : {};
  const read = (field: string) => textOf(metadata[field], "");
  const { generation } = metadata;
  return {
    regarding: {
      apiVersion: textOf(content["apiVersion"], ""),
      kind: textOf(content["kind"], ""),
      namespace: read("namespace"),
      name: read("name"),
      uid: read("uid"),
      resourceVersion: read("resourceVersion"),
    },
    generation: typeof generation === "number" ? generation : 0,
  };
}
