import type * as z from "zod";
import { CORE_GROUP } from "../envelope.ts";
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
    "Makes no workload: what runs on a host, and its identity, is registered by the host's daemon.",
  ],
  forms: [{ versions: ["v1"], schema: podSchema }],
  provides: ({ metadata: { name, namespace, labels = {} } }) => [
    podTopic(namespace, name),
    ...Object.entries(labels).map(([label, value]) => labelledPodsTopic(namespace, label, value)),
  ],
});

/** What a Service needs to know of a pod. */
export interface KnownPod {
  readonly labels: Readonly<Record<string, string>>;
  readonly node: string;
  /** The first is the primary one. */
  readonly addresses: readonly string[];
  readonly condition: Condition;
  /** Its named TCP ports. */
  readonly ports: ReadonlyMap<string, number>;
}

/** The labels of a pod; none where it is not known. */
export function labelsOfPod(
  context: TranslationContext,
  namespace: string,
  name: string,
): Readonly<Record<string, string>> {
  const [found] = context.about(podTopic(namespace, name));
  const parsed = podSchema.safeParse(found?.content);
  return parsed.success ? (parsed.data.metadata.labels ?? {}) : {};
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
    const parsed = podSchema.safeParse(content);
    if (!parsed.success) return [];
    const { labels = {} } = parsed.data.metadata;
    return wanted.every(([label, value]) => labels[label] === value) ? known(parsed.data) : [];
  });
}

function known({ metadata, spec, status = {} }: Resource): KnownPod[] {
  const { podIP, podIPs = [], phase = "Running" } = status;
  const listed = podIPs.map(({ ip }) => ip);
  const addresses = listed.length > 0 || podIP === undefined ? listed : [podIP];
  if (addresses.length === 0 || phase === "Succeeded" || phase === "Failed") return [];
  const named = [...spec.containers, ...spec.initContainers].flatMap(({ ports }) =>
    ports.flatMap(({ name, containerPort, protocol }): [string, number][] =>
      name !== undefined && protocol === "TCP" ? [[name, containerPort]] : [],
    ),
  );
  return [
    {
      labels: metadata.labels ?? {},
      node: spec.nodeName ?? "",
      addresses,
      condition: conditionOf(metadata.deletionTimestamp !== undefined, status),
      ports: new Map(named),
    },
  ];
}

/** A pod of a file without conditions is meant to be ready. */
function conditionOf(isLeaving: boolean, { conditions = [] }: NonNullable<Resource["status"]>) {
  const ready = conditions.find(({ type }) => type === "Ready");
  if (ready !== undefined && ready.status !== "True") return "unready";
  return isLeaving ? "leaving" : "ready";
}
