import { isIP } from "node:net";
import * as z from "zod";
import { envelopeFields } from "../envelope.ts";
import { differently, honoured, ineffective } from "../support.ts";
import { defineTranslator, type KnownResource, type Work } from "../translator.ts";
import { portField, textField } from "../value-fields.ts";
import { appProtocolOf } from "./app-protocol.ts";
import { type Condition, endpointAt, type Place, placeKey } from "./endpoint.ts";
import { labelsOfTarget, targetField } from "./object-reference.ts";
import { refuseBadServiceName } from "./service-name.ts";
import { SERVICE_NAME_LABEL, slicesTopic } from "./topics.ts";

const MAX_ENDPOINTS = 1_000;
const MAX_PORTS = 256;
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const OWN_ZONE = "every host knows its own zone and decides by that";

const endpointField = z.strictObject({
  addresses: differently(
    z.array(textField).min(1).max(100),
    "the first one; Kubernetes takes no others either",
  ),
  conditions: z
    .strictObject({
      ready: honoured(z.boolean(), "default: true").optional(),
      serving: honoured(z.boolean(), "default: as `ready`").optional(),
      terminating: honoured(
        z.boolean(),
        "gets new requests only while nothing is ready, and keeps what it has",
      ).optional(),
    })
    .optional(),
  hostname: ineffective(z.string(), "the mesh gives no names to single endpoints"),
  targetRef: targetField.optional(),
  nodeName: honoured(textField, "the host that it is on").optional(),
  zone: honoured(textField).optional(),
  hints: ineffective(z.unknown(), OWN_ZONE),
  deprecatedTopology: ineffective(z.unknown(), "as Kubernetes: `nodeName` and `zone` count"),
});

const portOfSlice = z.strictObject({
  name: honoured(z.string().max(63), "of the Service's port").default(""),
  port: differently(portField, "one without a number, for all ports, is left out").optional(),
  protocol: differently(
    z.enum(["TCP", "UDP", "SCTP"]),
    "`TCP` (default); other ports are left out: the mesh carries TCP",
  ).default("TCP"),
  appProtocol: honoured(textField, "as of a Service's port").optional(),
});

const schema = z
  .strictObject({
    ...envelopeFields,
    addressType: honoured(z.enum(["IPv4", "IPv6", "FQDN"]), "names are resolved by every host"),
    endpoints: z.array(endpointField).max(MAX_ENDPOINTS).default([]),
    ports: z.array(portOfSlice).max(MAX_PORTS).default([]),
  })
  .superRefine(({ addressType, endpoints }, context) => {
    for (const [index, { addresses }] of endpoints.entries()) {
      if (isOfType(addresses[0] ?? "", addressType)) continue;
      const path = ["endpoints", index, "addresses", 0];
      context.addIssue({ code: "custom", path, message: `must be an address of ${addressType}` });
    }
  });
type Resource = z.infer<typeof schema>;

function isOfType(address: string, type: "IPv4" | "IPv6" | "FQDN"): boolean {
  if (type === "FQDN") return isIP(address) === 0 && HOST_NAME.test(address);
  return isIP(address) === (type === "IPv4" ? 4 : 6) && !address.includes("%");
}

/** Kubernetes' EndpointSlice. */
export const endpointSlice = defineTranslator<Resource>({
  dialect: "Kubernetes",
  group: "discovery.k8s.io",
  kind: "EndpointSlice",
  notes: [
    `The label \`${SERVICE_NAME_LABEL}\` says which Service it is of; without it a slice has no effect, and a warning says so.`,
    "All slices of a Service count together; an endpoint that is in two of them counts once.",
    "Of a Service with addresses of both families each pod is two endpoints, one for each.",
  ],
  forms: [{ versions: ["v1"], schema }],
  provides({ metadata: { namespace, labels = {} } }) {
    const service = labels[SERVICE_NAME_LABEL];
    return service === undefined ? [] : [slicesTopic(namespace, service)];
  },
  records(work) {
    const service = work.resource.metadata.labels?.[SERVICE_NAME_LABEL];
    if (service === undefined) {
      const message = `no effect: without ${SERVICE_NAME_LABEL} it is of no Service`;
      work.warn(["metadata", "labels"], message);
      return [];
    }
    refuseBadServiceName(work, service, ["metadata", "labels", SERVICE_NAME_LABEL]);
    const slices = work.context.about(slicesTopic(work.name.namespace, service));
    const before = slices.findIndex(({ key }) => key === work.key);
    const places = placesOf(work.resource, service, work);
    const older = new Set(
      slices.slice(0, Math.max(0, before)).flatMap((each) => placesIn(each, service).map(placeKey)),
    );
    const hasReady = slices.some((each) =>
      placesIn(each, service).some(({ condition }) => condition === "ready"),
    );
    return distinct(places, older).map((place) => {
      const endpoint = endpointAt(place, hasReady);
      const isName = work.resource.addressType === "FQDN";
      return { kind: "endpoint", value: isName ? { ...endpoint, resolve: "dns" } : endpoint };
    });
  },
});

/** Each place once, and none that is taken. */
function distinct(places: readonly Place[], taken: Set<string>): readonly Place[] {
  return places.filter((place) => {
    const key = placeKey(place);
    if (taken.has(key)) return false;
    taken.add(key);
    return true;
  });
}

/** Places of the slices that were read, for as long as these are kept: each of them looks at all others of its Service. */
const known = new WeakMap<object, readonly Place[]>();

/** The places of a slice, of which no labels are needed. */
function placesIn({ content }: KnownResource, service: string): readonly Place[] {
  const before = typeof content === "object" && content !== null ? known.get(content) : undefined;
  if (before !== undefined) return before;
  const parsed = schema.safeParse(content);
  const places = parsed.success ? placesOf(parsed.data, service, null) : [];
  if (typeof content === "object" && content !== null) known.set(content, places);
  return places;
}

function placesOf(
  { metadata, endpoints, ports }: Resource,
  service: string,
  work: Work<unknown> | null,
): readonly Place[] {
  const { namespace } = metadata;
  return endpoints.flatMap((endpoint) => {
    const { addresses, targetRef, nodeName: node = "", zone = "" } = endpoint;
    const labels = work === null ? {} : labelsOfTarget(work.context, namespace, targetRef);
    return ports.flatMap(({ name, port, protocol, appProtocol }): Place[] => {
      if (port === undefined || protocol !== "TCP") return [];
      return [
        {
          owner: `slice.${namespace}.${metadata.name}`,
          ...{ namespace, service, portName: name, address: addresses[0] ?? "", port },
          ...{ node, zone, labels, condition: conditionOf(endpoint.conditions) },
          protocol: appProtocol === undefined ? null : appProtocolOf(appProtocol),
        },
      ];
    });
  });
}

/** KEP-1672: `ready` is never true of one that terminates, `serving` may be. */
function conditionOf(conditions: z.infer<typeof endpointField>["conditions"]): Condition {
  const { ready = true, terminating = false } = conditions ?? {};
  const { serving = ready } = conditions ?? {};
  if (terminating) return serving ? "leaving" : "unready";
  return ready ? "ready" : "unready";
}
