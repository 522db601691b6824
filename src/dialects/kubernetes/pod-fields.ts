import { isIP } from "node:net";
import * as z from "zod";
import { envelopeFields, metadataField } from "../envelope.ts";
import { differently, honoured } from "../support.ts";
import { portField, textField } from "../value-fields.ts";
import { othersFields } from "./others-fields.ts";

const MAX_CONTAINERS = 256;
const MAX_PORTS = 256;

const others = <T extends string>(...names: T[]) => othersFields("Kubernetes runs the pod", names);

export const addressField = z.string().refine((text) => isIP(text) !== 0 && !text.includes("%"), {
  message: "must be an IP address without a zone",
});

const containerPort = z.strictObject({
  containerPort: honoured(portField),
  name: honoured(textField, "named by the targetPort of a Service").optional(),
  protocol: honoured(z.enum(["TCP", "UDP", "SCTP"]), "only TCP ports are found").default("TCP"),
  ...others("hostPort hostIP"),
});

const container = z.strictObject({
  ports: z.array(containerPort).max(MAX_PORTS).default([]),
  ...others(
    "name image command args workingDir envFrom env resources",
    "resizePolicy restartPolicy restartPolicyRules volumeMounts volumeDevices",
    "livenessProbe readinessProbe startupProbe lifecycle imagePullPolicy",
    "terminationMessagePath terminationMessagePolicy securityContext",
    "stdin stdinOnce tty",
  ),
});

const spec = z.strictObject({
  nodeName: honoured(textField, "the host of its endpoints").optional(),
  containers: z.array(container).max(MAX_CONTAINERS).default([]),
  initContainers: z.array(container).max(MAX_CONTAINERS).default([]),
  hostNetwork: differently(
    z.boolean(),
    "with `--source kubernetes` such a pod is not part of the mesh: it has no address of its own",
  ).default(false),
  ...others(
    "volumes ephemeralContainers restartPolicy terminationGracePeriodSeconds",
    "activeDeadlineSeconds dnsPolicy nodeSelector serviceAccountName",
    "serviceAccount automountServiceAccountToken hostPID hostIPC",
    "shareProcessNamespace securityContext imagePullSecrets hostname subdomain",
    "affinity schedulerName tolerations hostAliases priorityClassName",
    "priority dnsConfig readinessGates runtimeClassName enableServiceLinks",
    "preemptionPolicy overhead topologySpreadConstraints setHostnameAsFQDN os",
    "hostUsers schedulingGates resourceClaims resources hostnameOverride",
    "schedulingGroup workloadRef",
  ),
});

const condition = z.strictObject({
  type: honoured(textField, "`Ready` decides"),
  status: honoured(z.enum(["True", "False", "Unknown"])),
  ...others("lastProbeTime lastTransitionTime message reason observedGeneration"),
});

const status = z.strictObject({
  phase: honoured(
    z.enum(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    "a pod that has ended has no endpoints",
  ).optional(),
  conditions: z.array(condition).max(64).optional(),
  podIP: honoured(addressField).optional(),
  podIPs: z
    .array(z.strictObject({ ip: honoured(addressField) }))
    .max(16)
    .optional(),
  ...others(
    "message reason hostIP hostIPs startTime qosClass nominatedNodeName",
    "initContainerStatuses containerStatuses ephemeralContainerStatuses resize",
    "resourceClaimStatuses extendedResourceClaimStatus observedGeneration",
    "allocatedResources resources",
  ),
});

export const podSchema = z.strictObject({
  ...envelopeFields,
  metadata: metadataField.extend({
    uid: differently(
      textField,
      "with `--source kubernetes`: an endpoint is that of this very pod, and not of an earlier one of its name",
    ).optional(),
    deletionTimestamp: differently(textField, "a pod that has one is leaving").optional(),
  }),
  spec,
  status: status.optional(),
});
