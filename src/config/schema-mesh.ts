import { isIP } from "node:net";
import * as z from "zod";
import { isTrustDomain } from "../core/identity.ts";
import { address, port } from "./setting-fields.ts";

export const identity = z
  .strictObject({
    trustDomain: z
      .string()
      .refine(isTrustDomain, "a trust domain such as cluster.local")
      .default("cluster.local")
      .describe("Trust domain of all SPIFFE IDs. Istio's default."),
    mode: z
      .enum(["auto", "required", "off"])
      .default("auto")
      .describe(
        "auto: the daemon takes certificates where it can enrol (join token, or the identity of an earlier start), and else serves without. required: it does not start without. off: no identities, no mutual TLS.",
      ),
    joinTokenFile: z
      .string()
      .default("")
      .describe(
        "File with the one-time token of `hostmesh identity token`, for the first start on this host, or with a projected service-account token.",
      ),
    anchorsFile: z
      .string()
      .default("")
      .describe(
        "PEM of the authorities by which the registry is known at first contact with a service-account token. It is read anew each time, and waited for where it is not there yet (a mounted ConfigMap). A one-time token needs none: it names the registry's root.",
      ),
  })
  .prefault({})
  .describe("Identity of this host and of its workloads.");

/** Part of the section `registry`. */
export const tokenReview = {
  tokenReviewUrl: z
    .string()
    .refine((text) => text === "" || URL.parse(text)?.protocol === "https:", "an https URL")
    .default("")
    .describe(
      "Kubernetes API server that judges the service-account tokens with which daemons join (https://kubernetes.default.svc). Empty: none is accepted, but by a registry that reads a cluster, which asks that one.",
    ),
  tokenReviewCaFile: z
    .string()
    .default("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
    .describe("PEM of that server's authority."),
  tokenReviewTokenFile: z
    .string()
    .default("/var/run/secrets/kubernetes.io/serviceaccount/token")
    .describe("The registry's own token, whose account needs the role system:auth-delegator."),
  tokenReviewAudience: z
    .string()
    .default("hostmesh")
    .describe("Audience that the daemons' projected tokens must be for."),
  tokenReviewAccount: z
    .string()
    .regex(/^[^/\s]+\/[^/\s]+$/, "a service account such as hostmesh-system/hostmesh-daemon")
    .default("hostmesh-system/hostmesh-daemon")
    .describe("The daemons' service account, NAMESPACE/NAME; the token's node is the host's name."),
};

export const mesh = z
  .strictObject({
    port: port(15_008, "Mutual TLS from other hosts."),
    bind: address().default("0.0.0.0").describe("Address of that port."),
    address: z
      .string()
      .refine((text) => text === "" || isIP(text) !== 0, "an IP address")
      .default("")
      .describe(
        "Address under which other hosts reach this one. Default: the one that the registry sees.",
      ),
    inboundPort: port(15_006, "Capture of plaintext connections to guarded workloads."),
    pathNormalization: z
      .enum(["none", "base", "merge-slashes", "decode-and-merge-slashes"])
      .default("base")
      .describe(
        "How request paths are normalised before they are matched; what was matched is sent on. Istio's levels and default.",
      ),
    escapedSlashes: z
      .enum(["keep", "reject", "unescape"])
      .default("keep")
      .describe("What is done with %2F and %5C in a path. Envoy's default."),
    requestOverrides: z
      .enum(["workloads", "routes", "off"])
      .default("workloads")
      .describe(
        "Whose requests may set time limits and retries of their own by header (`x-envoy-upstream-rq-timeout-ms`, `x-envoy-max-retries`, `l5d-request-timeout`, `l5d-retry-limit` and their kin): those of local workloads, or nobody's. At most 10 retries, and never beyond the service's budget. With `routes` they may also say where they go (`l5d-dst-override: NAME.NAMESPACE:PORT`, whatever their Host); the policies of the called service hold all the same.",
      ),
  })
  .prefault({})
  .describe("Traffic between hosts, and what callers of workloads must prove.");
