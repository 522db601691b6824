import { isIP } from "node:net";
import * as z from "zod";
import { canonicalAddress } from "../../core/address.ts";
import type { Endpoint, Service, ServicePort } from "../../core/model.ts";
import { resourceSchema } from "../envelope.ts";
import { podsWith } from "../kubernetes/pod.ts";
import { differently, honoured, ineffective } from "../support.ts";
import { defineTranslator, type TranslatedValue, type Work } from "../translator.ts";
import { exportedTo, exportToField } from "./export-to.ts";
import { hostField, hostTopic, serviceRefOf } from "./host.ts";
import { type EntryPort, entryPortsField, toServicePort } from "./service-entry-port.ts";
import { type WorkloadPlace, workloadFields, workloadsWith } from "./workload-entry.ts";

const MAX_ENDPOINTS = 1_024;
/** Of those that one resource makes by itself: places times ports. */
const MAX_RECORDS = 4_096;

const addressField = z.string().superRefine((text, context) => {
  const refuse = (message: string) => context.addIssue({ code: "custom", message });
  const [base = "", bits] = text.split("/");
  const family = isIP(base);
  if (family === 0) return refuse("must be an IP address");
  const whole = family === 4 ? "32" : "128";
  if (bits !== undefined && bits !== whole) {
    refuse(
      "a subnet is refused: name the addresses, or leave them out and let the mesh allot one for the name",
    );
  }
});

const specField = z.strictObject({
  hosts: honoured(
    z
      .array(
        hostField.refine((host) => host !== "*", { message: "* is not taken: name the hosts" }),
      )
      .min(1, "must name a host")
      .max(256),
    "the first names the service, in the resource's namespace: `namespace/host`, or `namespace/NAME` of `NAME.namespace.svc.cluster.local`; also with `*.` before",
  ),
  addresses: differently(
    z.array(addressField).max(64),
    "virtual addresses; absent: allotted; subnets are refused",
  ).optional(),
  ports: entryPortsField,
  location: differently(
    z.enum(["MESH_EXTERNAL", "MESH_INTERNAL"]),
    "an endpoint is of the mesh where its host is, whatever stands here",
  ).default("MESH_EXTERNAL"),
  resolution: differently(
    z.enum(["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"], {
      error: ({ input }) =>
        input === "DYNAMIC_DNS"
          ? "DYNAMIC_DNS is refused: use DNS with named hosts, or NONE"
          : "must be NONE, STATIC, DNS or DNS_ROUND_ROBIN",
    }),
    "`NONE` (default): to the address that the caller dialled; `DNS_ROUND_ROBIN` is `DNS`; `DYNAMIC_DNS` is refused",
  ).default("NONE"),
  endpoints: z.array(z.strictObject(workloadFields)).max(MAX_ENDPOINTS).optional(),
  workloadSelector: z
    .strictObject({
      labels: differently(
        z.record(z.string().min(1).max(317), z.string().max(512)),
        "of WorkloadEntries and of Pods given as resources, all of them; none select nothing",
      ),
    })
    .optional(),
  exportTo: exportToField,
  subjectAltNames: ineffective(
    z.array(z.string()),
    "the identity of an endpoint's workload is verified as the registry knows it",
  ),
});
const schema = resourceSchema(specField);
type Resource = z.infer<typeof schema>;

/** Istio's ServiceEntry. */
export const serviceEntry = defineTranslator<Resource>({
  dialect: "Istio",
  group: "networking.istio.io",
  kind: "ServiceEntry",
  notes: [
    "Makes one service, with the name of its first host; with `DNS` and no endpoints one for each host, as each is resolved for itself.",
    "Nothing is resolved by the registry: every daemon resolves names for itself.",
  ],
  forms: [{ versions: ["v1", "v1beta1", "v1alpha3"], schema }],
  provides: ({ spec }) => spec.hosts.map(hostTopic),
  records(work) {
    const { spec } = work.resource;
    check(work);
    if (spec.location === "MESH_INTERNAL") {
      const message = "no effect: an endpoint is of the mesh where a daemon is on its host";
      work.warn(["spec", "location"], message);
    }
    const isNamed = spec.resolution.startsWith("DNS");
    if (!isNamed || spec.endpoints !== undefined || spec.workloadSelector !== undefined) {
      const places = placesOf(work);
      return [{ kind: "service", value: toService(work, spec.hosts) }, ...serve(work, places)];
    }
    return spec.hosts.flatMap((host, index) => {
      if (host.includes("*")) {
        work.refuse(["spec", "hosts", index], "cannot be resolved: give endpoints, or NONE");
      }
      const place = { address: host, ports: {}, labels: {}, weight: 1 };
      const value = toService(work, [host], index > 0);
      return [{ kind: "service" as const, value }, ...serve(work, [place], host)];
    });
  },
});

/** What Istio's validation refuses, too. */
function check({ resource, refuse }: Work<Resource>): void {
  const { resolution, hosts, ports, endpoints, workloadSelector } = resource.spec;
  const count = (endpoints ?? hosts).length * ports.length;
  if (count > MAX_RECORDS) {
    refuse(["spec", "ports"], `make ${count} endpoints, at most ${MAX_RECORDS} are taken`);
  }
  if (endpoints !== undefined && workloadSelector !== undefined) {
    refuse(["spec", "workloadSelector"], "give either endpoints or workloadSelector");
  }
  if (resolution === "NONE" && (endpoints ?? workloadSelector) !== undefined) {
    const field = endpoints === undefined ? "workloadSelector" : "endpoints";
    refuse(["spec", field], "stands with STATIC or DNS; NONE goes where the caller dialled");
  }
  for (const [index, { address }] of (endpoints ?? []).entries()) {
    if (resolution !== "STATIC" || isIP(address) !== 0) continue;
    refuse(["spec", "endpoints", index, "address"], "must be an IP address with STATIC: use DNS");
  }
}

/** A service of the resource's own namespace is known by its short name, as everywhere. */
function nameOf(host: string, namespace: string): string {
  const ref = serviceRefOf(host, namespace);
  return ref.startsWith(`${namespace}/`) ? ref.slice(namespace.length + 1) : host;
}

function toService(work: Work<Resource>, hosts: readonly string[], isFurther = false): Service {
  const { spec, metadata } = work.resource;
  const { namespace } = metadata;
  const exportTo = exportedTo(spec.exportTo, namespace);
  const bare = (spec.addresses ?? []).map((text) => canonicalAddress(text.replace(/\/.*$/, "")));
  if (isFurther && bare.length > 0) {
    work.warn(["spec", "addresses"], `of the first host only: ${hosts[0]} gets one of its own`);
  }
  return {
    name: nameOf(hosts[0] ?? "", namespace),
    namespace,
    addresses: isFurther ? [] : [...new Set(bare)],
    ports: spec.ports.map((port): ServicePort => toServicePort(port)),
    balancer: work.context.balancer,
    meta: metadata.labels ?? {},
    hosts: [...new Set(hosts)],
    ...(exportTo === null ? {} : { exportTo }),
    ...(spec.resolution === "NONE" ? { originalDestination: true as const } : {}),
  };
}

function placesOf({ resource, context, warn }: Work<Resource>): readonly WorkloadPlace[] {
  const { endpoints = [], workloadSelector } = resource.spec;
  if (workloadSelector === undefined) return endpoints;
  const { namespace } = resource.metadata;
  const { labels } = workloadSelector;
  if (Object.keys(labels).length === 0) {
    warn(["spec", "workloadSelector"], "without labels it selects nothing");
  }
  const pods = podsWith(context, namespace, labels).flatMap((pod): WorkloadPlace[] => {
    const [address] = pod.addresses;
    if (address === undefined || pod.condition !== "ready") return [];
    return [{ address, ports: {}, labels: pod.labels, weight: 1 }];
  });
  return [...workloadsWith(context, namespace, labels), ...pods];
}

/** One endpoint for every place and port; of the same address twice the first counts. */
function serve(
  work: Work<Resource>,
  places: readonly WorkloadPlace[],
  host = work.resource.spec.hosts[0] ?? "",
): TranslatedValue[] {
  const { spec, metadata } = work.resource;
  const { namespace } = metadata;
  const service = nameOf(host, namespace);
  const found = new Map<string, Endpoint>();
  for (const place of places) {
    for (const port of spec.ports) {
      const endpoint = toEndpoint(place, port, { service, namespace });
      if (!found.has(endpoint.id)) found.set(endpoint.id, endpoint);
    }
  }
  return [...found.values()].map((value) => ({ kind: "endpoint" as const, value }));
}

function toEndpoint(
  { address, ports, labels, locality = "", weight }: WorkloadPlace,
  { name, number, targetPort }: EntryPort,
  { service, namespace }: { readonly service: string; readonly namespace: string },
): Endpoint {
  const own = Object.hasOwn(ports, name) ? ports[name] : undefined;
  const port = own ?? targetPort ?? number;
  const [region = "", zone = ""] = locality.split("/");
  return {
    id: `${service}/${namespace}.${service}:${name}@${address}:${port}`,
    ...{ service, namespace, address, port },
    portName: name,
    weight: weight || 1,
    zone,
    host: "",
    meta: labels,
    health: "passing",
    ...(region === "" ? {} : { region }),
    ...(isIP(address) === 0 ? { resolve: "dns" as const } : {}),
  };
}
