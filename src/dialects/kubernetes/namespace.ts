import * as z from "zod";
import { CORE_GROUP, envelopeFields } from "../envelope.ts";
import { elsewhere } from "../support.ts";
import { defineTranslator, type TranslationContext } from "../translator.ts";
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
    "Annotation `config.linkerd.io/opaque-ports`: for the Services there that have none of their own. Others have no effect.",
  ],
  forms: [{ versions: ["v1"], schema }],
  provides: ({ metadata: { name } }) => [namespaceTopic(name)],
});

/** An annotation of a namespace; undefined where it is not known, or has none. */
export function annotationOfNamespace(
  context: TranslationContext,
  namespace: string,
  annotation: string,
): string | undefined {
  const [found] = context.about(namespaceTopic(namespace));
  const parsed = schema.safeParse(found?.content);
  return parsed.success ? parsed.data.metadata.annotations[annotation] : undefined;
}
