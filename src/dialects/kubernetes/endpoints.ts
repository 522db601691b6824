import * as z from "zod";
import { CORE_GROUP, envelopeFields } from "../envelope.ts";
import { differently, honoured, ineffective } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { portField, textField } from "../value-fields.ts";
import { appProtocolOf } from "./app-protocol.ts";
import { type Condition, endpointAt, type Place } from "./endpoint.ts";
import { placeOfNode } from "./node.ts";
import { behindTarget, targetField } from "./object-reference.ts";
import { addressField } from "./pod-fields.ts";
import { refuseBadServiceName } from "./service-name.ts";
import { endpointsTopic, slicesTopic } from "./topics.ts";

const MAX_SUBSETS = 256;
const MAX_ADDRESSES = 1_000;

const address = z.strictObject({
  ip: honoured(addressField),
  hostname: ineffective(z.string(), "the mesh gives no names to single endpoints"),
  nodeName: honoured(textField, "the host that it is on").optional(),
  targetRef: targetField.optional(),
});

const subset = z.strictObject({
  addresses: z.array(address).max(MAX_ADDRESSES).default([]),
  notReadyAddresses: z.array(address).max(MAX_ADDRESSES).default([]),
  ports: z
    .array(
      z.strictObject({
        name: honoured(z.string().max(63), "of the Service's port").default(""),
        port: honoured(portField),
        protocol: differently(
          z.enum(["TCP", "UDP", "SCTP"]),
          "`TCP` (default); other ports are left out: the mesh carries TCP",
        ).default("TCP"),
        appProtocol: honoured(textField, "as of a Service's port").optional(),
      }),
    )
    .max(256)
    .default([]),
});

const schema = z.strictObject({
  ...envelopeFields,
  subsets: z.array(subset).max(MAX_SUBSETS).default([]),
});
type Resource = z.infer<typeof schema>;

/** Kubernetes' Endpoints, which EndpointSlices came to replace (KEP-4974). */
export const endpoints = defineTranslator<Resource>({
  dialect: "Kubernetes",
  group: CORE_GROUP,
  kind: "Endpoints",
  notes: [
    "Of the Service of the same name. Without effect while that has an EndpointSlice, as Kubernetes mirrors the one to the other.",
  ],
  forms: [{ versions: ["v1"], schema }],
  provides: ({ metadata: { namespace, name } }) => [endpointsTopic(namespace, name)],
  records(work) {
    const { namespace, name } = work.name;
    refuseBadServiceName(work, name, ["metadata", "name"]);
    if (work.context.about(slicesTopic(namespace, name)).length > 0) {
      work.warn(["subsets"], `no effect: ${name} has EndpointSlices`);
      return [];
    }
    const places = work.resource.subsets.flatMap((each) => [
      ...placesOf(work, each, each.addresses, "ready"),
      ...placesOf(work, each, each.notReadyAddresses, "unready"),
    ]);
    return places.map((place) => ({ kind: "endpoint", value: endpointAt(place, true) }));
  },
});

function placesOf(
  work: Work<Resource>,
  { ports }: z.infer<typeof subset>,
  addresses: readonly z.infer<typeof address>[],
  condition: Condition,
): readonly Place[] {
  const { namespace, name: service } = work.name;
  return addresses.flatMap(({ ip, nodeName: node = "", targetRef }) => {
    const { labels } = behindTarget(work.context, namespace, targetRef, ip);
    const where = placeOfNode(work.context, node);
    return ports.flatMap(({ name: portName, port, protocol, appProtocol }): Place[] => {
      if (protocol !== "TCP") return [];
      const said = appProtocol === undefined ? null : appProtocolOf(appProtocol);
      return [
        {
          owner: `endpoints.${namespace}.${service}`,
          ...{ namespace, service, portName, address: ip, port, node },
          ...{ ...where, outside: false, uid: "", labels, protocol: said, condition },
        },
      ];
    });
  });
}
