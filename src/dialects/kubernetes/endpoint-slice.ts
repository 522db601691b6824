import { isIP } from "node:net";
import * as z from "zod";
import type { EndpointHints } from "../../core/model.ts";
import { envelopeFields } from "../envelope.ts";
import { readOnce } from "../read-once.ts";
import { differently, honoured, ineffective } from "../support.ts";
import { defineTranslator, type TranslationContext } from "../translator.ts";
import { portField, textField } from "../value-fields.ts";
import { appProtocolOf } from "./app-protocol.ts";
import { type Condition, endpointAt, groupOf, type Place, placeKey, spotOf } from "./endpoint.ts";
import { NOWHERE, placeOfNode } from "./node.ts";
import { type Behind, behindTarget, targetField } from "./object-reference.ts";
import { refuseBadServiceName } from "./service-name.ts";
import { SERVICE_NAME_LABEL, slicesTopic } from "./topics.ts";

const MAX_ENDPOINTS = 1_000;
const MAX_PORTS = 256;
const HINTS = "who is to call it first, where its Service asks for that; see `trafficDistribution`";
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

const hintsField = z.strictObject({
  forZones: z
    .array(z.strictObject({ name: honoured(textField, HINTS) }))
    .max(64)
    .optional(),
  forNodes: z
    .array(z.strictObject({ name: honoured(textField, HINTS) }))
    .max(64)
    .optional(),
});

const endpointField = z.strictObject({
  addresses: differently(
    z.array(textField).min(1).max(100),
    "the first one; Kubernetes takes no others either",
  ),
  conditions: z
    .strictObject({
      ready: honoured(z.boolean(), "default: true").optional(),
      serving: honoured(z.boolean(), "default: true").optional(),
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
  hints: hintsField.optional(),
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
    addressType: honoured(
      z.enum(["IPv4", "IPv6", "FQDN"]),
      "names are resolved by every host; with `--source kubernetes` they have no effect, as for kube-proxy",
    ),
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

const OPEN: Behind = { labels: {}, outside: false, isThere: true };

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
    "All slices of a Service count together; an endpoint that is in two of them counts once. One that is leaving, or not ready, counts for its own port and family of addresses only.",
    "With `--source kubernetes` an endpoint whose pod is not part of the mesh, or that names no pod, is called in the clear; one whose pod is not there any more, or not yet, is not called.",
    "Of a Service with addresses of both families each pod is two endpoints, one for each.",
  ],
  forms: [{ versions: ["v1"], schema }],
  provides({ metadata: { namespace, labels = {} } }) {
    const service = labels[SERVICE_NAME_LABEL];
    return service === undefined ? [] : [slicesTopic(namespace, service)];
  },
  isTheSameToOthers: (before, after) => readView(before) === readView(after),
  records(work) {
    const { context, resource } = work;
    const service = resource.metadata.labels?.[SERVICE_NAME_LABEL];
    if (service === undefined) {
      const message = `no effect: without ${SERVICE_NAME_LABEL} it is of no Service`;
      work.warn(["metadata", "labels"], message);
      return [];
    }
    refuseBadServiceName(work, service, ["metadata", "labels", SERVICE_NAME_LABEL]);
    const isName = resource.addressType === "FQDN";
    if (isName && context.cluster !== undefined) {
      work.warn(["addressType"], "no effect: kube-proxy does not serve names either");
      return [];
    }
    const slices = context.about(slicesTopic(work.name.namespace, service));
    const before = slices.findIndex(({ key }) => key === work.key);
    // In a cluster pods have UIDs, and an address that is two pods' is one of them only.
    const keyOf = context.cluster === undefined ? spotOf : placeKey;
    const older = new Set(
      slices.slice(0, Math.max(0, before)).flatMap(({ content }) => readPlaces(content).map(keyOf)),
    );
    const ready = new Set(slices.flatMap(({ content }) => readyGroupsOf(readPlaces(content))));
    const own = placesOf(resource, service, context).filter((place) => !older.has(keyOf(place)));
    return distinct(own).map((place) => {
      const endpoint = endpointAt(place, ready.has(groupOf(place)));
      return { kind: "endpoint", value: isName ? { ...endpoint, resolve: "dns" } : endpoint };
    });
  },
});

const RANK: Readonly<Record<Condition, number>> = { ready: 2, leaving: 1, unready: 0 };

/** Each place once. Of two pods at one address, of which one is gone, the better counts. */
function distinct(places: readonly Place[]): readonly Place[] {
  const found = new Map<string, Place>();
  for (const place of places) {
    const spot = spotOf(place);
    const other = found.get(spot);
    if (other === undefined || RANK[place.condition] > RANK[other.condition]) {
      found.set(spot, place);
    }
  }
  return [...found.values()];
}

/** The places of a slice as the other slices of its Service see them, each of which looks at all. */
const readPlaces = readOnce((content): readonly Place[] => {
  const parsed = schema.safeParse(content);
  const service = parsed.data?.metadata.labels?.[SERVICE_NAME_LABEL];
  if (!parsed.success || service === undefined) return [];
  return placesOf(parsed.data, service, null);
});

/** All that others see of a slice: whose it is, how old, which places it has, and of which groups there are ready ones. */
const readView = readOnce((content): string => {
  const { labels, creationTimestamp } = schema.safeParse(content).data?.metadata ?? {};
  const places = readPlaces(content);
  const ready = [...new Set(readyGroupsOf(places))].sort();
  const service = labels?.[SERVICE_NAME_LABEL];
  return JSON.stringify([service, creationTimestamp, places.map(placeKey).sort(), ready]);
});

function readyGroupsOf(places: readonly Place[]): readonly string[] {
  return places.flatMap((place) => (place.condition === "ready" ? [groupOf(place)] : []));
}

/** The places of a slice; without a context who is behind them is left open. */
function placesOf(
  { metadata, endpoints, ports }: Resource,
  service: string,
  context: TranslationContext | null,
): readonly Place[] {
  const { namespace } = metadata;
  return endpoints.flatMap((endpoint) => {
    const { addresses, targetRef, nodeName = "", zone, hints } = endpoint;
    const [address = ""] = addresses;
    const behind = context === null ? OPEN : behindTarget(context, namespace, targetRef, address);
    const { node, key: workload } = behind.workload ?? { node: nodeName };
    const where = context === null ? NOWHERE : placeOfNode(context, node);
    const shared = {
      owner: `slice.${namespace}.${metadata.name}`,
      ...{ namespace, service, address, node, labels: behind.labels, outside: behind.outside },
      ...{ zone: zone ?? where.zone, region: where.region },
      uid: targetRef?.uid ?? "",
      condition: behind.isThere ? conditionOf(endpoint.conditions) : ("unready" as const),
      ...(hints === undefined ? {} : { hints: toHints(hints) }),
      ...(workload === undefined ? {} : { workload }),
    };
    return ports.flatMap(({ name, port, protocol, appProtocol }): Place[] => {
      if (port === undefined || protocol !== "TCP") return [];
      const said = appProtocol === undefined ? null : appProtocolOf(appProtocol);
      return [{ ...shared, portName: name, port, protocol: said }];
    });
  });
}

function toHints({ forZones, forNodes }: z.infer<typeof hintsField>): EndpointHints {
  return {
    ...(forZones === undefined ? {} : { zones: forZones.map(({ name }) => name) }),
    ...(forNodes === undefined ? {} : { hosts: forNodes.map(({ name }) => name) }),
  };
}

/**
 * As kube-proxy reads them (KEP-1672): `ready` may be true of one that terminates where its Service publishes all
 * addresses, else never; `serving` may be.
 */
function conditionOf(conditions: z.infer<typeof endpointField>["conditions"]): Condition {
  const { ready = true, serving = true, terminating = false } = conditions ?? {};
  if (ready) return "ready";
  return terminating && serving ? "leaving" : "unready";
}
