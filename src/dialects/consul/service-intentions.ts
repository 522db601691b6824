import * as z from "zod";
import { DEFAULT_NAMESPACE } from "../../core/model.ts";
import type { IntentionsPolicy } from "../../core/policy.ts";
import { resourceSchema } from "../envelope.ts";
import { differently, honoured } from "../support.ts";
import { defineTranslator, type KnownResource, type Work } from "../translator.ts";
import {
  destinationNamespace,
  jwtField,
  partitionField,
  type SourceIntention,
  serviceOrAll,
  setByConsul,
  sourcesField,
} from "./intention-fields.ts";
import { rulesOf } from "./intentions.ts";
import { respellEntry } from "./respell.ts";

/** Annotation, or key of a config entry's Meta: what becomes of callers that no source names. */
const OTHERWISE = "hostmesh.io/default-intention";
/** Consul's name of the config entry's kind. */
export const ENTRY_KIND = "service-intentions";
export const ENTRY_GROUP = "consul";

const destinationName = honoured(serviceOrAll, "`*`: services without intentions of their own");
const entryNamespace = differently(
  destinationNamespace,
  "`*` is refused: one entry for each namespace",
);

const entrySchema = z.strictObject({
  kind: honoured(z.literal(ENTRY_KIND)),
  name: destinationName,
  namespace: entryNamespace.optional(),
  partition: partitionField,
  meta: honoured(z.record(z.string(), z.string()), `\`${OTHERWISE}\`; others are kept`).default({}),
  jwt: jwtField,
  sources: sourcesField,
  createIndex: setByConsul(z.number()),
  modifyIndex: setByConsul(z.number()),
  hash: setByConsul(z.unknown()),
});

const resource = resourceSchema(
  z.strictObject({
    destination: z.strictObject({
      name: destinationName,
      namespace: differently(
        destinationNamespace,
        "only the resource's own, which is the default",
      ).optional(),
      partition: partitionField,
    }),
    sources: sourcesField,
    jwt: jwtField,
  }),
);

/** What both forms say. */
interface Intentions {
  readonly name: string;
  readonly namespace: string;
  readonly sources: readonly SourceIntention[];
  readonly meta: Readonly<Record<string, string>>;
}

const notes = [
  "Precedence is Consul's: the intentions of a service before those of `*`, then a source by name before `*`. Permissions are tried from top to bottom.",
  `What becomes of a caller that no source names, Consul's servers decide for all services (\`default_intention_policy\`, or the ACLs). Here it is denied, unless the annotation (in a config entry: the key of Meta) \`${OTHERWISE}\` says \`allow\`.`,
  "A destination without intentions is not closed.",
  "Of several resources for one destination the oldest counts, and the others are warned of.",
];

/** Consul's config entry of the kind service-intentions. */
export const intentionsEntry = defineTranslator<z.infer<typeof entrySchema>>({
  dialect: "Consul",
  group: ENTRY_GROUP,
  kind: ENTRY_KIND,
  notes: [
    ...notes,
    "Fields may be spelt as in Consul's JSON (`PathExact`), its other form (`path_exact`) or that of Kubernetes (`pathExact`).",
  ],
  forms: [{ versions: ["v1"], schema: entrySchema }],
  respell: respellEntry,
  provides: (entry) => topicsOf(ofEntry(entry)),
  policies: (work) => toPolicies(work, ofEntry(work.resource), []),
});

/** The same as a resource of consul-k8s. */
export const serviceIntentions = defineTranslator<z.infer<typeof resource>>({
  dialect: "Consul",
  group: "consul.hashicorp.com",
  kind: "ServiceIntentions",
  notes,
  forms: [{ versions: ["v1alpha1"], schema: resource }],
  provides: (each) => topicsOf(ofResource(each)),
  policies(work) {
    const { spec, metadata } = work.resource;
    const { namespace = metadata.namespace } = spec.destination;
    if (namespace !== metadata.namespace) {
      const reason = "a ServiceIntentions is for destinations of its own namespace";
      work.refuse(["spec", "destination", "namespace"], reason);
    }
    return toPolicies(work, ofResource(work.resource), ["spec", "destination"]);
  },
});

function ofEntry({ name, namespace, sources, meta }: z.infer<typeof entrySchema>): Intentions {
  return { name, namespace: namespace ?? DEFAULT_NAMESPACE, sources, meta };
}

function ofResource({ metadata, spec }: z.infer<typeof resource>): Intentions {
  const { namespace, annotations } = metadata;
  return { name: spec.destination.name, namespace, sources: spec.sources, meta: annotations };
}

function parse({ content }: KnownResource): Intentions | null {
  const asResource = resource.safeParse(content);
  if (asResource.success) return ofResource(asResource.data);
  const asEntry = entrySchema.safeParse(respellEntry(content).content);
  return asEntry.success ? ofEntry(asEntry.data) : null;
}

const destination = z.union([
  z.object({ spec: z.object({ destination: z.object({ name: z.string() }) }) }),
  z.object({ Name: z.string() }).or(z.object({ name: z.string() })),
]);

/** Only the name, because there may be thousands: the resources have been checked when they were applied. */
function destinationOf({ content }: KnownResource): string {
  const found = destination.parse(content);
  if ("spec" in found) return found.spec.destination.name;
  return "Name" in found ? found.Name : found.name;
}

const topicOf = (namespace: string, name: string) => `intentions ${namespace}/${name}`;
const topicOfAll = (namespace: string) => `intentions of ${namespace}`;

function topicsOf({ namespace, name }: Intentions): string[] {
  const topic = topicOf(namespace, name);
  return name === "*" ? [topic] : [topic, topicOfAll(namespace)];
}

function toPolicies(
  work: Work<unknown>,
  own: Intentions,
  at: readonly PropertyKey[],
): IntentionsPolicy[] {
  const { namespace, name } = own;
  const [oldest] = work.context.about(topicOf(namespace, name));
  if (oldest !== undefined && oldest.key !== work.key) {
    work.warn([...at, "name"], `no effect: ${oldest.key} is older and has the same destination`);
    return [];
  }
  const otherwise = otherwiseOf(work, own);
  const isForAll = name === "*";
  // The services that have intentions of their own follow those, which end with the ones of `*`.
  const except = isForAll ? work.context.about(topicOfAll(namespace)).map(destinationOf) : [];
  const [wide] = isForAll ? [] : work.context.about(topicOf(namespace, "*"));
  const wider = wide === undefined ? null : parse(wide);
  return [
    {
      kind: "intentions",
      source: work.source,
      createdMs: work.context.createdMs,
      scope: {
        namespace,
        labels: {},
        ...(isForAll ? {} : { service: name }),
        ...(except.length === 0 ? {} : { exceptServices: [...new Set(except)].sort() }),
      },
      rules: [
        ...rulesOf(own.sources, namespace, otherwise),
        ...(wider === null ? [] : rulesOf(wider.sources, namespace, otherwise)),
      ],
      otherwise,
    },
  ];
}

function otherwiseOf(work: Work<unknown>, { meta }: Intentions): "allow" | "deny" {
  const said = meta[OTHERWISE] ?? work.context.defaultIntention;
  if (said === "allow" || said === "deny") return said;
  const at = work.name.group === ENTRY_GROUP ? ["meta"] : ["metadata", "annotations"];
  return work.refuse([...at, OTHERWISE], "must be allow or deny");
}
