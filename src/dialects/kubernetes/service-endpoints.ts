import { isIP } from "node:net";
import type * as z from "zod";
import type { Endpoint } from "../../core/model.ts";
import type { Work } from "../translator.ts";
import { type Condition, endpointAt, groupOf, type Place } from "./endpoint.ts";
import { placeOfNode } from "./node.ts";
import { type KnownPod, podsWith } from "./pod.ts";
import type { serviceSchema } from "./service-fields.ts";
import { endpointsTopic, slicesTopic } from "./topics.ts";

type Resource = z.infer<typeof serviceSchema>;
type Port = Resource["spec"]["ports"][number];

/** The endpoints that a Service brings by itself: those of its other name, or the Pods that it selects. */
export function endpointsOfService(
  work: Work<Resource>,
  ports: readonly Port[],
): readonly Endpoint[] {
  const { type, externalName, selector } = work.resource.spec;
  if (type === "ExternalName" && externalName !== undefined) {
    return endpointsOutside(work, externalName.replace(/\.$/, ""), ports);
  }
  const { namespace, name } = work.name;
  const { context } = work;
  // A cluster's own controller makes the slices, as its Service selects them.
  if (context.cluster !== undefined) return [];
  const isListed =
    context.about(slicesTopic(namespace, name)).length > 0 ||
    context.about(endpointsTopic(namespace, name)).length > 0;
  if (selector === undefined || isListed) return [];
  const pods = podsWith(context, namespace, selector);
  const places = pods.flatMap((pod) => placesOf(work, pod, ports));
  const isReady = ({ condition }: Place) => condition === "ready";
  const ready = new Set(places.filter(isReady).map(groupOf));
  return places.map((place) => endpointAt(place, ready.has(groupOf(place))));
}

function ownerOf({ name: { namespace, name } }: Work<Resource>): string {
  return `service.${namespace}.${name}`;
}

/** An ExternalName is the same ports at another name, or at an address. */
function endpointsOutside(
  work: Work<Resource>,
  name: string,
  ports: readonly Port[],
): readonly Endpoint[] {
  if (ports.length === 0) {
    const message = "without ports there is nothing to call at that name: give spec.ports";
    work.warn(["spec", "externalName"], message);
  }
  return ports.map((port) => {
    const place: Place = {
      owner: ownerOf(work),
      ...{ namespace: work.name.namespace, service: work.name.name },
      ...{ portName: port.name ?? "", address: name.toLowerCase(), port: port.port },
      ...{ node: "", zone: "", region: "", labels: {}, outside: false, uid: "" },
      ...{ protocol: null, condition: "ready" },
    };
    const endpoint = endpointAt(place, true);
    return isIP(name) === 0 ? { ...endpoint, resolve: "dns" } : endpoint;
  });
}

function placesOf(work: Work<Resource>, pod: KnownPod, ports: readonly Port[]): readonly Place[] {
  const { ipFamilies, publishNotReadyAddresses } = work.resource.spec;
  const condition: Condition = publishNotReadyAddresses ? "ready" : pod.condition;
  const where = placeOfNode(work.context, pod.node);
  return addressesOf(pod, ipFamilies).flatMap((address) =>
    ports.flatMap((port): Place[] => {
      const { targetPort = port.port } = port;
      // Of pods that have no port of that name Kubernetes makes no endpoint either.
      const number = typeof targetPort === "number" ? targetPort : pod.ports.get(targetPort);
      if (number === undefined) return [];
      return [
        {
          owner: ownerOf(work),
          ...{ namespace: work.name.namespace, service: work.name.name },
          ...{ portName: port.name ?? "", address, port: number },
          ...{ node: pod.node, ...where, labels: pod.labels, outside: false, uid: "" },
          ...{ protocol: null, condition },
        },
      ];
    }),
  );
}

/** Its primary address, or one of each family that the Service names. */
function addressesOf(
  { addresses }: KnownPod,
  families: readonly ("IPv4" | "IPv6")[] | undefined,
): readonly string[] {
  if (families === undefined || families.length === 0) return addresses.slice(0, 1);
  return families.flatMap(
    (family) => addresses.find((address) => isIP(address) === (family === "IPv4" ? 4 : 6)) ?? [],
  );
}
