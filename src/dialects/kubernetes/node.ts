import * as z from "zod";
import { CORE_GROUP, envelopeFields } from "../envelope.ts";
import { readOnce } from "../read-once.ts";
import { elsewhere } from "../support.ts";
import { defineTranslator, type TranslationContext } from "../translator.ts";
import { nodeTopic } from "./topics.ts";

const ZONE = "topology.kubernetes.io/zone";
const REGION = "topology.kubernetes.io/region";

const schema = z.strictObject({
  ...envelopeFields,
  spec: elsewhere(z.unknown(), "the kubelet's and the scheduler's"),
  status: elsewhere(z.unknown(), "the kubelet's"),
});

/** Kubernetes' Node: where endpoints are. */
export const node = defineTranslator<z.infer<typeof schema>>({
  dialect: "Kubernetes",
  group: CORE_GROUP,
  kind: "Node",
  notes: [
    `Labels \`${ZONE}\` and \`${REGION}\`: the place of its endpoints. A zone that an EndpointSlice gives goes before.`,
  ],
  forms: [{ versions: ["v1"], schema }],
  provides: ({ metadata: { name } }) => [nodeTopic(name)],
});

/** Labels of a node that are read. */
export const NODE_LABELS: readonly string[] = [ZONE, REGION];

/** Zone and region of a node; both empty where it is not known. */
export interface NodePlace {
  readonly zone: string;
  readonly region: string;
}

export const NOWHERE: NodePlace = { zone: "", region: "" };

export function placeOfNode(context: TranslationContext, name: string): NodePlace {
  if (name === "") return NOWHERE;
  const [found] = context.about(nodeTopic(name));
  return found === undefined ? NOWHERE : readPlace(found.content);
}

const readPlace = readOnce((content): NodePlace => {
  const parsed = schema.safeParse(content);
  return placeOfLabels(parsed.data?.metadata.labels ?? {});
});

export function placeOfLabels({
  [ZONE]: zone = "",
  [REGION]: region = "",
}: Readonly<Record<string, string>>): NodePlace {
  return { zone, region };
}
