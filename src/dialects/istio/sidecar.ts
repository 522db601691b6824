import * as z from "zod";
import type { ClientScope } from "../../core/traffic.ts";
import { resourceSchema } from "../envelope.ts";
import { honoured, ineffective, refused } from "../support.ts";
import { defineTranslator } from "../translator.ts";
import { hostField } from "./host.ts";
import { isMeshWide } from "./scope.ts";

const MAX_HOSTS = 1_024;
const listeners = "there is one listener for the whole host: all listeners' hosts count together";

const egressHostField = z
  .string()
  .max(320)
  .superRefine((text, context) => {
    const [namespace = "", host, ...rest] = text.split("/");
    const isNamespace = /^(?:[.*~]|[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)$/.test(namespace);
    const isHost = host !== undefined && rest.length === 0 && hostField.safeParse(host).success;
    if (isNamespace && isHost) return;
    const message = "must be namespace/host, such as ./*, prod/*.example.com, */reviews or ~/*";
    context.addIssue({ code: "custom", message });
  });

const egressField = z.strictObject({
  hosts: honoured(
    z.array(egressHostField).min(1, "must name a host").max(MAX_HOSTS),
    "`namespace/host`; `.`: the own namespace, `*`: any, `~`: none",
  ),
  port: ineffective(z.unknown(), listeners),
  bind: ineffective(z.string(), listeners),
  captureMode: ineffective(z.enum(["DEFAULT", "IPTABLES", "NONE"]), listeners),
});

const specField = z.strictObject({
  workloadSelector: z
    .strictObject({
      labels: honoured(
        z.record(z.string().min(1).max(317), z.string().max(63)),
        "of the calling workload, all of them",
      ).default({}),
    })
    .optional(),
  egress: z.array(egressField).max(128).optional(),
  outboundTrafficPolicy: z
    .strictObject({
      mode: honoured(
        z.enum(["REGISTRY_ONLY", "ALLOW_ANY"]),
        "default, where `outboundTrafficPolicy` is given: `REGISTRY_ONLY`, as in Istio",
      ).default("REGISTRY_ONLY"),
      egressProxy: refused("what leaves the mesh goes there directly: there is no egress proxy"),
    })
    .optional(),
  ingress: refused(
    "an endpoint is reached where it was registered: give its port there, and limits in a DestinationRule",
  ),
  inboundConnectionPool: refused(
    "limits are kept by the callers: use connectionPool of a DestinationRule",
  ),
});
const schema = resourceSchema(specField);

/** Istio's Sidecar, as far as there is something of it without sidecars: what a workload sees. */
export const sidecar = defineTranslator<z.infer<typeof schema>>({
  dialect: "Istio",
  group: "networking.istio.io",
  kind: "Sidecar",
  notes: [
    "One with a selector that fits counts before one of the namespace, and that before one in a root namespace without a selector, which is for the whole mesh; of several the oldest counts.",
    "Without `egress` a workload sees every service, without `outboundTrafficPolicy` the daemon's settings hold.",
  ],
  forms: [{ versions: ["v1", "v1beta1", "v1alpha3"], schema }],
  records(work) {
    const { workloadSelector, egress, outboundTrafficPolicy } = work.resource.spec;
    const labels = workloadSelector?.labels ?? {};
    if (workloadSelector !== undefined && Object.keys(labels).length === 0) {
      work.warn(["spec", "workloadSelector"], "without labels it selects every workload");
    }
    const isForAll = isMeshWide(work) && Object.keys(labels).length === 0;
    const hosts = (egress ?? []).flatMap((listener) => listener.hosts);
    const mode = outboundTrafficPolicy?.mode;
    const value: ClientScope = {
      source: work.source,
      createdMs: work.context.createdMs,
      namespace: isForAll ? null : work.name.namespace,
      labels,
      egress: hosts.length === 0 ? null : [...new Set(hosts)],
      outside: mode === undefined ? null : mode === "ALLOW_ANY" ? "allow" : "refuse",
    };
    return [{ kind: "scope", value }];
  },
});
