import * as z from "zod";
import { CORE_GROUP, envelopeFields } from "../envelope.ts";
import { readOnce } from "../read-once.ts";
import { elsewhere } from "../support.ts";
import { defineTranslator, type TranslationContext } from "../translator.ts";
import { type Marks, NO_MARKS } from "./enrolment.ts";
import { namespaceTopic } from "./topics.ts";

const schema = z.strictObject({
  ...envelopeFields,
  spec: z.strictObject({ finalizers: elsewhere(z.array(z.string()), "Kubernetes'") }).optional(),
});

/** Kubernetes' Namespace: taken so that files which begin with one apply whole. */
export const namespace = defineTranslator<z.infer<typeof schema>>({
  dialect: "Kubernetes",
  group: CORE_GROUP,
  kind: "Namespace",
  notes: [
    "Kept and shown; namespaces need not be declared here.",
    "With `--source kubernetes`: label `hostmesh.io/inject: enabled` takes its pods into the mesh.",
    "Annotation `config.linkerd.io/opaque-ports`: for the Services there that have none of their own. Others have no effect.",
  ],
  forms: [{ versions: ["v1"], schema }],
  provides: ({ metadata: { name } }) => [namespaceTopic(name)],
});

/** What a namespace says of its pods; nothing where it is not known. */
export function marksOfNamespace(context: TranslationContext, namespace: string): Marks {
  const [found] = context.about(namespaceTopic(namespace));
  return found === undefined ? NO_MARKS : readMarks(found.content);
}

const readMarks = readOnce((content): Marks => {
  const parsed = schema.safeParse(content);
  if (!parsed.success) return NO_MARKS;
  const { labels = {}, annotations } = parsed.data.metadata;
  return { labels, annotations };
});

/** An annotation of a namespace; undefined where it is not known, or has none. */
export function annotationOfNamespace(
  context: TranslationContext,
  namespace: string,
  annotation: string,
): string | undefined {
  return marksOfNamespace(context, namespace).annotations[annotation];
}
