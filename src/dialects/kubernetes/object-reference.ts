import * as z from "zod";
import { differently, honoured } from "../support.ts";
import type { TranslationContext } from "../translator.ts";
import { textField } from "../value-fields.ts";
import { othersFields } from "./others-fields.ts";
import { labelsOfPod } from "./pod.ts";

/** What stands behind an address: a Pod gives its labels to the endpoint. */
export const targetField = z.strictObject({
  kind: honoured(textField, "`Pod`: its labels are the endpoint's").optional(),
  name: honoured(textField).optional(),
  namespace: differently(
    textField,
    "default, and only: the resource's own; a pod of another one gives nothing",
  ).optional(),
  ...othersFields("Kubernetes' own", ["uid apiVersion resourceVersion fieldPath"]),
});

/** Labels of an endpoint: those of the pod behind it, in its own namespace. */
export function labelsOfTarget(
  context: TranslationContext,
  own: string,
  target: z.infer<typeof targetField> | undefined,
): Readonly<Record<string, string>> {
  const { kind, name, namespace = own } = target ?? {};
  return kind === "Pod" && name !== undefined && namespace === own
    ? labelsOfPod(context, namespace, name)
    : {};
}
