import * as z from "zod";
import { DEFAULT_NAMESPACE } from "../core/model.ts";
import { honoured, ineffective, refused } from "./support.ts";

/** The group of Kubernetes' first kinds, whose `apiVersion` is `v1` and names none. */
export const CORE_GROUP = "core";

const SERVER = "an API server of Kubernetes sets it";

/** DNS-1123 subdomain, as Kubernetes names resources. */
const resourceName = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
    "must be lower-case letters, digits, - and ., beginning and ending with a letter or digit",
  );
export const namespaceName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    "must be 1 to 63 lower-case letters, digits or -, beginning and ending with a letter or digit",
  );
const text = z.string().max(262_144);
const texts = z.record(z.string().min(1).max(317), text);

export const metadataField = z.strictObject({
  name: honoured(resourceName),
  namespace: honoured(namespaceName, `default: \`${DEFAULT_NAMESPACE}\``).default(
    DEFAULT_NAMESPACE,
  ),
  labels: honoured(texts, "kept, and shown").optional(),
  annotations: honoured(texts, "those that a kind names; others are kept, and shown").default({}),
  creationTimestamp: honoured(
    z.iso.datetime({ offset: true }).nullable(),
    "age, where the oldest resource wins; default: when it was first applied",
  ).optional(),
  generateName: refused("resources are known by their name: give metadata.name"),
  uid: ineffective(text, SERVER),
  resourceVersion: ineffective(text, SERVER),
  generation: ineffective(z.number(), SERVER),
  selfLink: ineffective(text, SERVER),
  managedFields: ineffective(z.array(z.unknown()), SERVER),
  ownerReferences: ineffective(z.array(z.unknown()), "owners are Kubernetes' matter"),
  finalizers: ineffective(z.array(text), "nobody waits for them here"),
  deletionTimestamp: ineffective(text, SERVER),
  deletionGracePeriodSeconds: ineffective(z.number(), SERVER),
});

/** The fields around `spec` that every resource of Kubernetes' form has. */
export const envelopeFields = {
  apiVersion: honoured(z.string()),
  kind: honoured(z.string()),
  metadata: metadataField,
  status: ineffective(z.unknown(), "a controller sets it"),
};

/** A resource with a `spec`. */
export function resourceSchema<T extends z.ZodType>(spec: T) {
  return z.strictObject({ ...envelopeFields, spec });
}

/** `v1` is the version of Kubernetes' first kinds, whose group has no name. */
const apiVersionField = z
  .string()
  .regex(
    /^(?:[a-z0-9.-]{1,253}\/)?v[a-z0-9]{1,62}$/,
    "must be GROUP/VERSION, such as security.istio.io/v1, or v1",
  );

/** The group and the version that an `apiVersion` names. */
export function groupVersionOf(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf("/");
  if (slash === -1) return { group: CORE_GROUP, version: apiVersion };
  return { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** The parts of a resource that name it. Other fields are its translator's matter. */
export const resourceHead = z.object({
  apiVersion: apiVersionField,
  kind: z.string().regex(/^[A-Za-z]{1,63}$/, "must be a kind, such as AuthorizationPolicy"),
  metadata: z.object({
    name: resourceName,
    namespace: namespaceName.default(DEFAULT_NAMESPACE),
    creationTimestamp: z.iso.datetime({ offset: true }).nullish(),
  }),
});
