import * as z from "zod";
import { envelopeFields } from "../envelope.ts";
import { differently, elsewhere, honoured, ineffective } from "../support.ts";
import { portField, textField } from "../value-fields.ts";
import { othersFields } from "./others-fields.ts";
import { addressField } from "./pod-fields.ts";

const MAX_PORTS = 256;
const family = z.enum(["IPv4", "IPv6"]);

const NOT_A_NAME = "must be the name of a port";

/** Of a Service: a label of DNS, so that `80` is one too (`kubectl create service` gives such names). */
const servicePortName = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, NOT_A_NAME);

/** Of a container: the IANA form, which has a letter in it. */
const containerPortName = z
  .string()
  .regex(/^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, NOT_A_NAME);

const port = z.strictObject({
  name: honoured(
    servicePortName,
    "also its protocol, in Istio's convention: `http-…`, `http2-…`, `grpc-…`, `tcp-…`, `tls-…`",
  ).optional(),
  port: honoured(portField),
  targetPort: honoured(
    z.union([portField, containerPortName], {
      error: "must be a port, 1 to 65535, or the name of one",
    }),
    "where the Service finds its endpoints among Pods; EndpointSlices say it themselves. Default: `port`",
  ).optional(),
  protocol: differently(
    z.enum(["TCP", "UDP", "SCTP"]),
    "`TCP` (default); other ports are left out, with a warning: the mesh carries TCP",
  ).default("TCP"),
  appProtocol: honoured(
    textField,
    "`http`, `http2`, `h2c`, `grpc`, `grpc-web`, `https`, `tls`, `tcp`, `mongo`, `mysql`, `redis`, `kubernetes.io/h2c`, `/ws`, `/wss`; others are found out",
  ).optional(),
  nodePort: elsewhere(z.number(), "kube-proxy serves it"),
});

const spec = z.strictObject({
  type: honoured(
    z.enum(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
    "what `NodePort` and `LoadBalancer` add is kube-proxy's",
  ).default("ClusterIP"),
  ports: z.array(port).max(MAX_PORTS).default([]),
  selector: honoured(
    z.record(z.string().min(1).max(317), z.string().max(63)),
    "its Pods are endpoints where there is no EndpointSlice for it",
  ).optional(),
  clusterIP: differently(
    z.union([z.literal(["", "None"]), addressField]),
    "its virtual address; without one the registry allots it. `None` (headless): allotted too, and a call of an endpoint's own address is one of the Service",
  ).optional(),
  clusterIPs: differently(
    z.array(z.union([z.literal("None"), addressField])).max(2),
    "as `clusterIP`",
  ).optional(),
  ipFamilies: honoured(
    z.array(family).max(2),
    "which addresses of its Pods are endpoints; default: the primary ones",
  ).optional(),
  externalName: honoured(
    z.string().regex(/^(?=.{1,253}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$/, "must be a host name"),
    "every host resolves it for itself",
  ).optional(),
  sessionAffinity: differently(
    z.enum(["None", "ClientIP"]),
    "`ClientIP`: by consistent hashing of the caller's address",
  ).default("None"),
  sessionAffinityConfig: ineffective(z.unknown(), "hashing forgets nobody, and needs no time-out"),
  internalTrafficPolicy: honoured(
    z.enum(["Cluster", "Local"]),
    "`Local`: endpoints of the caller's own host only, leaving ones where none is ready there; without one the call fails",
  ).optional(),
  trafficDistribution: differently(
    z.enum(["PreferClose", "PreferSameZone", "PreferSameNode"]),
    "all: own host, zone, region, then the rest. With `--source kubernetes`: by the hints of the EndpointSlices, as kube-proxy. Either way onwards while the near ones are too few",
  ).optional(),
  publishNotReadyAddresses: honoured(z.boolean(), "Pods that are not ready count too").default(
    false,
  ),
  ipFamilyPolicy: elsewhere(z.string(), "Kubernetes allots by it"),
  ...othersFields("it is about traffic from outside the cluster", [
    "externalIPs loadBalancerIP loadBalancerSourceRanges loadBalancerClass",
    "externalTrafficPolicy healthCheckNodePort allocateLoadBalancerNodePorts",
  ]),
});

export const serviceSchema = z.strictObject({
  ...envelopeFields,
  spec,
  status: elsewhere(z.unknown(), "of load balancers outside the mesh"),
});
