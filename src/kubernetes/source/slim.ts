import { ACCESS_LOG_MARKS } from "../../core/log-mark.ts";
import { ENROLMENT_ANNOTATIONS } from "../../dialects/kubernetes/enrolment.ts";
import { NODE_LABELS } from "../../dialects/kubernetes/node.ts";
import { OPAQUE_PORTS } from "../../dialects/linkerd/service-annotations.ts";
import type { KubeObject } from "../api/objects.ts";
import { listAt, pick, present, recordAt, textAt } from "./fields.ts";

/** A resource as the registry keeps it. */
export type Content = Readonly<Record<string, unknown>>;

/** kubectl's memory, as large as the object itself. */
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
/** What an API server sets where nobody says it (core/v1 DefaultClientIPServiceAffinitySeconds). */
const DEFAULT_AFFINITY_SECONDS = 10_800;
const TRAFFIC_DISTRIBUTIONS = ["PreferClose", "PreferSameZone", "PreferSameNode"];
const LINKERD_INJECT = "linkerd.io/inject";

/**
 * What is kept of an object: what translators read, without what API servers, controllers and kubelets write beside it. So a
 * heartbeat of a kubelet, or a status that was written, changes nothing, and a thousand pods are small.
 */
export function slim(object: KubeObject): Content {
  switch (object.kind) {
    case "Namespace":
      return {
        ...head(object),
        metadata: metadataOf(object, [OPAQUE_PORTS, LINKERD_INJECT, ...ACCESS_LOG_MARKS]),
      };
    case "Node":
      return { ...head(object), metadata: nodeMetadataOf(object) };
    case "Pod":
      return slimPod(object);
    case "Service":
      return slimService(object);
    case "EndpointSlice":
      return slimSlice(object);
    default:
      return slimOther(object);
  }
}

/** Is what is kept of it picked field by field, so that nothing unknown is among it? */
export function isSlim({ kind }: KubeObject): boolean {
  return ["Namespace", "Node", "Pod", "EndpointSlice"].includes(kind);
}

function head({ apiVersion, kind }: KubeObject) {
  return { apiVersion, kind };
}

/** `annotations`: those that are kept. */
function metadataOf({ metadata }: KubeObject, annotations: readonly string[]) {
  const kept = pick(metadata.annotations, annotations);
  return {
    ...pick(metadata, ["name", "namespace", "labels", "creationTimestamp"]),
    ...(Object.keys(kept).length === 0 ? {} : { annotations: kept }),
  };
}

function nodeMetadataOf(object: KubeObject) {
  return { ...metadataOf(object, []), labels: pick(object.metadata.labels, NODE_LABELS) };
}

function allMetadataOf({ metadata }: KubeObject, more: readonly string[] = []) {
  const { [LAST_APPLIED]: _, ...annotations } = metadata.annotations ?? {};
  return {
    ...pick(metadata, ["name", "namespace", "labels", "creationTimestamp", ...more]),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}

function slimPod(object: KubeObject): Content {
  const { spec, status } = object;
  const conditions = listAt(status, "conditions").filter((one) => textAt(one, "type") === "Ready");
  return {
    ...head(object),
    metadata: {
      ...metadataOf(object, [...ENROLMENT_ANNOTATIONS, ...ACCESS_LOG_MARKS]),
      ...pick(object.metadata, ["uid", "deletionTimestamp"]),
    },
    spec: pick(spec, ["nodeName", "hostNetwork"]),
    status: {
      ...pick(status, ["phase", "podIP", "podIPs"]),
      ...(conditions.length === 0
        ? {}
        : { conditions: conditions.map((one) => pick(one, ["type", "status"])) }),
    },
  };
}

function slimService(object: KubeObject): Content {
  const spec: Record<string, unknown> = present(recordAt(object, "spec"));
  const clientIp = recordAt(recordAt(spec, "sessionAffinityConfig"), "clientIP");
  if (clientIp["timeoutSeconds"] === DEFAULT_AFFINITY_SECONDS) {
    delete spec["sessionAffinityConfig"];
  }
  // A later Kubernetes may know more preferences; a Service must not be lost for one.
  if (!TRAFFIC_DISTRIBUTIONS.includes(textAt(spec, "trafficDistribution"))) {
    delete spec["trafficDistribution"];
  }
  return { ...head(object), metadata: allMetadataOf(object), spec };
}

function slimSlice(object: KubeObject): Content {
  const endpoints = listAt(object, "endpoints").map((endpoint) => {
    const target = pick(recordAt(endpoint, "targetRef"), ["kind", "name", "namespace", "uid"]);
    const hints = hintsOf(recordAt(endpoint, "hints"));
    return {
      // An endpoint has one address, whatever its list holds (discovery/v1).
      addresses: listAt(endpoint, "addresses").slice(0, 1),
      ...pick(endpoint, ["nodeName", "zone"]),
      conditions: pick(recordAt(endpoint, "conditions"), ["ready", "serving", "terminating"]),
      ...(Object.keys(target).length === 0 ? {} : { targetRef: target }),
      ...(Object.keys(hints).length === 0 ? {} : { hints }),
    };
  });
  const ports = listAt(object, "ports").map((port) =>
    pick(port, ["name", "port", "protocol", "appProtocol"]),
  );
  const metadata = metadataOf(object, []);
  return { ...head(object), metadata, ...pick(object, ["addressType"]), endpoints, ports };
}

function hintsOf(hints: Content): Record<string, unknown> {
  const named = (list: string) => listAt(hints, list).map((one) => pick(one, ["name"]));
  return Object.fromEntries(
    ["forZones", "forNodes"]
      .map((list): [string, unknown[]] => [list, named(list)])
      .filter(([, names]) => names.length > 0),
  );
}

/** Custom resources: their status is somebody's answer, and not what they ask for. */
function slimOther(object: KubeObject): Content {
  const { status: _, metadata: __, ...rest } = object;
  return { ...rest, metadata: allMetadataOf(object, ["generation"]) };
}
