import type * as z from "zod";
import type { Service, ServicePort } from "../../core/model.ts";
import type { TrafficSettings } from "../../core/traffic.ts";
import { basePolicy } from "../base-policy.ts";
import { CORE_GROUP } from "../envelope.ts";
import { OPAQUE_PORTS, settingsOfAnnotations } from "../linkerd/service-annotations.ts";
import { defineTranslator, type TranslatedValue, type Work } from "../translator.ts";
import { appProtocolOf, protocolOfPortName } from "./app-protocol.ts";
import { annotationOfNamespace } from "./namespace.ts";
import { endpointsOfService } from "./service-endpoints.ts";
import { serviceSchema } from "./service-fields.ts";
import { refuseBadServiceName } from "./service-name.ts";
import { serviceTopic } from "./topics.ts";

type Resource = z.infer<typeof serviceSchema>;
type Port = Resource["spec"]["ports"][number];

/** Kubernetes' Service. */
export const service = defineTranslator<Resource>({
  dialect: "Kubernetes",
  group: CORE_GROUP,
  kind: "Service",
  notes: [
    "Its endpoints are those of its EndpointSlices; else those of its Endpoints; else the Pods that it selects. With `--source kubernetes` those of its EndpointSlices only.",
    "`appProtocol` counts before the name of a port; where neither says anything the proxy finds out.",
    "What it says of balancing and locality, and what its annotations say, holds beneath what a DestinationRule or the like says of it.",
    "Annotations: those of Linkerd for retries, timeouts, circuit breaking (`balancer.linkerd.io/failure-accrual…`) and `config.linkerd.io/opaque-ports`, and hostmesh's own.",
  ],
  forms: [{ versions: ["v1"], schema: serviceSchema }],
  provides: ({ metadata: { namespace, name } }) => [serviceTopic(namespace, name)],
  records(work) {
    refuseBadServiceName(work, work.name.name, ["metadata", "name"]);
    const ports = tcpPortsOf(work);
    const annotated = annotatedBy(work);
    const service = toService(work, ports, new Set(annotated.opaquePorts));
    const records: TranslatedValue[] = [{ kind: "service", value: service }];
    const settings = { ...localityOf(work), ...annotated.settings };
    if (Object.keys(settings).length > 0) {
      const { namespace, name } = work.name;
      const value = basePolicy(work, { service: `${namespace}/${name}`, namespace, settings });
      records.push({ kind: "traffic", value });
    }
    const endpoints = endpointsOfService(work, ports);
    return [...records, ...endpoints.map((value) => ({ kind: "endpoint" as const, value }))];
  },
});

/** Refuses what an API server would, and leaves out what is no TCP. */
function tcpPortsOf(work: Work<Resource>): readonly Port[] {
  const { ports, type, externalName } = work.resource.spec;
  if (type === "ExternalName" && externalName === undefined) {
    work.refuse(["spec", "externalName"], "missing: a Service of type ExternalName needs it");
  }
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, { name, port, protocol }] of ports.entries()) {
    const at = ["spec", "ports", index];
    if (name === undefined && ports.length > 1) {
      work.refuse([...at, "name"], "missing: of several ports each needs a name");
    }
    if (names.has(name ?? "")) work.refuse([...at, "name"], "names must be unique");
    names.add(name ?? "");
    const number = `${protocol} ${port}`;
    if (numbers.has(number)) work.refuse([...at, "port"], "ports must be unique");
    numbers.add(number);
    if (protocol === "TCP") continue;
    work.warn([...at, "protocol"], `no effect: ${protocol} is not carried by the mesh`);
  }
  return ports.filter(({ protocol }) => protocol === "TCP");
}

function annotatedBy(work: Work<Resource>): ReturnType<typeof settingsOfAnnotations> {
  const { annotations: own } = work.resource.metadata;
  const inherited = Object.hasOwn(own, OPAQUE_PORTS)
    ? undefined
    : annotationOfNamespace(work.context, work.name.namespace, OPAQUE_PORTS);
  const annotations = inherited === undefined ? own : { ...own, [OPAQUE_PORTS]: inherited };
  const warn = (name: string, message: string) =>
    work.warn(["metadata", "annotations", name], message);
  return settingsOfAnnotations(annotations, warn, `${work.name.namespace}/${work.name.name}`);
}

function toService(
  work: Work<Resource>,
  ports: readonly Port[],
  opaque: ReadonlySet<number>,
): Service {
  const { spec, metadata } = work.resource;
  const { balancer } = work.context;
  return {
    name: work.name.name,
    namespace: work.name.namespace,
    addresses: addressesOf(spec),
    ports: ports.map((port) => {
      const found = toPort(work, port);
      // Said to be opaque, it is so whatever its name says.
      return opaque.has(port.port) ? { ...found, protocol: "tcp" } : found;
    }),
    balancer:
      spec.sessionAffinity === "ClientIP"
        ? { ...balancer, policy: "ring-hash", hashOn: { kind: "source" } }
        : balancer,
    meta: metadata.labels ?? {},
  };
}

/** Its virtual addresses; none of a headless one, nor of one that is only another name. */
function addressesOf({ type, clusterIP, clusterIPs = [] }: Resource["spec"]): readonly string[] {
  if (type === "ExternalName") return [];
  const given = [...clusterIPs, clusterIP ?? ""];
  return [...new Set(given)].filter((address) => address !== "" && address !== "None");
}

function toPort(work: Work<Resource>, port: Port): ServicePort {
  const { name = "", appProtocol } = port;
  const said = appProtocol === undefined ? null : appProtocolOf(appProtocol);
  if (appProtocol !== undefined && said === null) {
    const index = work.resource.spec.ports.indexOf(port);
    const message = `${appProtocol} is not known: the proxy finds out what is spoken`;
    work.warn(["spec", "ports", index, "appProtocol"], message);
  }
  const protocol = appProtocol === undefined ? protocolOfPortName(name) : said;
  return { name, port: port.port, ...(protocol === null ? {} : { protocol }) };
}

/** Annotations that came before `trafficDistribution`, and ask for the same hints. */
const TOPOLOGY = [
  "service.kubernetes.io/topology-mode",
  "service.kubernetes.io/topology-aware-hints",
];

function localityOf(work: Work<Resource>): TrafficSettings {
  const { internalTrafficPolicy, trafficDistribution } = work.resource.spec;
  if (internalTrafficPolicy === "Local") return { locality: { enabled: true, only: "host" } };
  const isCluster = work.context.cluster !== undefined;
  const { annotations } = work.resource.metadata;
  const isAuto = TOPOLOGY.some((name) => annotations[name]?.toLowerCase() === "auto");
  if (trafficDistribution === undefined && !(isCluster && isAuto)) return {};
  return { locality: { enabled: true, ...(isCluster ? { hints: true as const } : {}) } };
}
