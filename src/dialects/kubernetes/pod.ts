import type * as z from "zod";
import { canonicalAddress } from "../../core/address.ts";
import { CORE_GROUP } from "../envelope.ts";
import { readOnce } from "../read-once.ts";
import { defineTranslator, type TranslationContext } from "../translator.ts";
import type { Condition } from "./endpoint.ts";
import { podSchema } from "./pod-fields.ts";
import { labelledPodsTopic, podTopic } from "./topics.ts";

type Resource = z.infer<typeof podSchema>;

/** Kubernetes' Pod: labels of endpoints, and endpoints where a Service selects it. */
export const pod = defineTranslator<Resource>({
  dialect: "Kubernetes",
  group: CORE_GROUP,
  kind: "Pod",
  notes: [
    "Its labels are those of its endpoints, by which subsets and policies select them.",
    "A Service with a selector finds its endpoints among the Pods where neither an EndpointSlice nor Endpoints are there for it.",
    "Makes no workload: what runs on a host, and its identity, is registered by the host's daemon. With `--source kubernetes` every pod that is part of the mesh is a workload, with its service account's identity, on the node where the API server has placed it.",
    "With `--source kubernetes` a pod is part of the mesh by its label `hostmesh.io/inject: enabled`, or that of its namespace; `disabled` as a label, or as an annotation of that name, keeps it out.",
  ],
  forms: [{ versions: ["v1"], schema: podSchema }],
  provides: ({ metadata: { name, namespace, labels = {} } }) => [
    podTopic(namespace, name),
    ...Object.entries(labels).map(([label, value]) => labelledPodsTopic(namespace, label, value)),
  ],
});

/** What others need to know of a pod. */
export interface KnownPod {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly namespace: string;
  readonly uid: string;
  readonly hostNetwork: boolean;
  readonly node: string;
  /** The first is the primary one; none: it has not got one yet. */
  readonly addresses: readonly string[];
  readonly condition: Condition;
  readonly hasEnded: boolean;
  /** Its named TCP ports. */
  readonly ports: ReadonlyMap<string, number>;
}

/** Null where it is not known. */
export function podNamed(
  context: TranslationContext,
  namespace: string,
  name: string,
): KnownPod | null {
  const [found] = context.about(podTopic(namespace, name));
  return found === undefined ? null : readPod(found.content);
}

/** The pods with all these labels that have an address and have not ended. */
export function podsWith(
  context: TranslationContext,
  namespace: string,
  selector: Readonly<Record<string, string>>,
): readonly KnownPod[] {
  const wanted = Object.entries(selector).sort();
  const [first] = wanted;
  if (first === undefined) return [];
  // One label finds the candidates, so that not every pod of the namespace makes every Service translated anew.
  return context.about(labelledPodsTopic(namespace, ...first)).flatMap(({ content }) => {
    const pod = readPod(content);
    if (pod === null || pod.hasEnded || pod.addresses.length === 0) return [];
    return wanted.every(([label, value]) => pod.labels[label] === value) ? [pod] : [];
  });
}

const readPod = readOnce((content): KnownPod | null => {
  const parsed = podSchema.safeParse(content);
  return parsed.success ? toKnown(parsed.data) : null;
});

function toKnown({ metadata, spec, status = {} }: Resource): KnownPod {
  const { podIP, podIPs = [], phase = "Running" } = status;
  const listed = podIPs.map(({ ip }) => ip);
  const addresses = listed.length > 0 || podIP === undefined ? listed : [podIP];
  const named = [...spec.containers, ...spec.initContainers].flatMap(({ ports }) =>
    ports.flatMap(({ name, containerPort, protocol }): [string, number][] =>
      name !== undefined && protocol === "TCP" ? [[name, containerPort]] : [],
    ),
  );
  return {
    labels: metadata.labels ?? {},
    annotations: metadata.annotations,
    namespace: metadata.namespace,
    uid: metadata.uid ?? "",
    hostNetwork: spec.hostNetwork,
    node: spec.nodeName ?? "",
    addresses: addresses.map(canonicalAddress),
    condition: conditionOf(metadata.deletionTimestamp !== undefined, status),
    hasEnded: phase === "Succeeded" || phase === "Failed",
    ports: new Map(named),
  };
}

/** A pod of a file without conditions is meant to be ready. */
function conditionOf(isLeaving: boolean, { conditions = [] }: NonNullable<Resource["status"]>) {
  const ready = conditions.find(({ type }) => type === "Ready");
  if (ready !== undefined && ready.status !== "True") return "unready";
  return isLeaving ? "leaving" : "ready";
}
