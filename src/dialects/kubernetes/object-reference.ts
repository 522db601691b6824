import * as z from "zod";
import { canonicalAddress } from "../../core/address.ts";
import { differently, honoured } from "../support.ts";
import type { TranslationContext } from "../translator.ts";
import { textField } from "../value-fields.ts";
import { isEnrolled } from "./enrolment.ts";
import { marksOfNamespace } from "./namespace.ts";
import { othersFields } from "./others-fields.ts";
import { podNamed } from "./pod.ts";

/** What stands behind an address: a Pod gives its labels to the endpoint. */
export const targetField = z.strictObject({
  kind: honoured(textField, "`Pod`: its labels are the endpoint's").optional(),
  name: honoured(textField).optional(),
  namespace: differently(
    textField,
    "default, and only: the resource's own; a pod of another one gives nothing",
  ).optional(),
  uid: differently(
    textField,
    "with `--source kubernetes`: only that very pod is meant, and not a later one of its name",
  ).optional(),
  ...othersFields("Kubernetes' own", ["apiVersion resourceVersion fieldPath"]),
});

/** What stands behind an address. */
export interface Behind {
  readonly labels: Readonly<Record<string, string>>;
  /** Is not part of the mesh. */
  readonly outside: boolean;
  /** False: a pod is named that is not there, or has another address; who is there now must not be called for it. */
  readonly isThere: boolean;
  /** The pod, and where the API server has placed it; absent where it is not part of the mesh. */
  readonly workload?: { readonly key: string; readonly node: string };
}

/**
 * Who is behind an address of a resource in namespace `own`: the pod that it names, in its own namespace. In a cluster it
 * must be there, with that address and that UID: addresses and names of pods are used again, and the pod may be known later
 * than what names it. What names no pod is not part of the mesh there.
 */
export function behindTarget(
  context: TranslationContext,
  own: string,
  target: z.infer<typeof targetField> | undefined,
  address: string,
): Behind {
  const { kind, name, namespace = own, uid } = target ?? {};
  const isPod = kind === "Pod" && name !== undefined && namespace === own;
  const pod = isPod ? podNamed(context, namespace, name) : null;
  const { cluster } = context;
  const labels = pod?.labels ?? {};
  if (cluster === undefined) return { labels, outside: false, isThere: true };
  if (!isPod) return { labels, outside: true, isThere: true };
  const isThere =
    pod !== null &&
    !pod.hasEnded &&
    (uid === undefined || uid === pod.uid) &&
    pod.addresses.includes(canonicalAddress(address));
  if (!isThere) return { labels: {}, outside: true, isThere };
  const isIn = isEnrolled(pod, marksOfNamespace(context, namespace), cluster);
  if (!isIn) return { labels, outside: true, isThere };
  const workload = { key: `${namespace}/${name}`, node: pod.node };
  return { labels, outside: false, isThere, workload };
}
