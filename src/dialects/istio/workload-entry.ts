import * as z from "zod";
import { resourceSchema } from "../envelope.ts";
import { honoured, ineffective } from "../support.ts";
import { defineTranslator, type TranslationContext } from "../translator.ts";
import { portField } from "../value-fields.ts";
import { exactHostField } from "./host.ts";

const MAX_WEIGHT = 65_535;

const labelsField = z.record(z.string().min(1).max(317), z.string().max(512));

const addressField = z
  .string()
  .refine((text) => !text.startsWith("unix:"), {
    message: "sockets of a file system are not reached: give an IP address or a name",
  })
  .pipe(exactHostField);

/** A place where a service is served: of `endpoints` of a ServiceEntry, and what a WorkloadEntry says. */
export const workloadFields = {
  address: honoured(addressField, "an IP address, or a name that every daemon resolves"),
  ports: honoured(
    z.record(z.string().min(1).max(63), portField),
    "by name of the service's port; default: `targetPort`, else the port itself",
  ).default({}),
  labels: honoured(labelsField, "by which subsets select it").default({}),
  locality: honoured(
    z
      .string()
      .max(256)
      .regex(/^[^/\s]*(\/[^/\s]*){0,2}$/, "must be region, region/zone or region/zone/subzone"),
    "`region/zone`; a subzone is dropped",
  ).optional(),
  weight: honoured(z.number().int().min(0).max(MAX_WEIGHT), "0 and absent: 1, as in Istio").default(
    1,
  ),
  network: ineffective(z.string(), "every host must reach every address"),
  serviceAccount: ineffective(
    z.string(),
    "identities come from the registration of workloads, not from a ServiceEntry",
  ),
};

const workloadField = z.strictObject(workloadFields);
export type WorkloadPlace = z.infer<typeof workloadField>;

const schema = resourceSchema(workloadField);
type Resource = z.infer<typeof schema>;

/** One topic for every label, so that an entry is found by any that is asked for. */
const topicOf = (namespace: string, label: string, value: string) =>
  `WorkloadEntries of ${namespace} with ${label}=${value}`;

/** Istio's WorkloadEntry. */
export const workloadEntry = defineTranslator<Resource>({
  dialect: "Istio",
  group: "networking.istio.io",
  kind: "WorkloadEntry",
  notes: [
    "Has no effect by itself: ServiceEntries select it by its labels (of `spec`, else of `metadata`), and follow its changes.",
  ],
  forms: [{ versions: ["v1", "v1beta1", "v1alpha3"], schema }],
  provides: (resource) =>
    Object.entries(labelsOf(resource)).map(([label, value]) =>
      topicOf(resource.metadata.namespace, label, value),
    ),
});

function labelsOf({ spec, metadata }: Resource): Readonly<Record<string, string>> {
  return Object.keys(spec.labels).length > 0 ? spec.labels : (metadata.labels ?? {});
}

/** The entries of a namespace that have all these labels. */
export function workloadsWith(
  context: TranslationContext,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): readonly WorkloadPlace[] {
  const wanted = Object.entries(labels);
  const [first] = wanted;
  if (first === undefined) return [];
  return context.about(topicOf(namespace, ...first)).flatMap(({ content }) => {
    const parsed = schema.safeParse(content);
    if (!parsed.success) return [];
    const own = labelsOf(parsed.data);
    const isMeant = wanted.every(([label, value]) => own[label] === value);
    return isMeant ? [{ ...parsed.data.spec, labels: own }] : [];
  });
}
