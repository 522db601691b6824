import * as z from "zod";
import {
  type Backend,
  ROUTE_RANKS,
  type RouteMatch,
  type RouteRule,
  type RouteTable,
} from "../../core/traffic.ts";
import { resourceSchema } from "../envelope.ts";
import { differently, honoured } from "../support.ts";
import { defineTranslator, type TranslatedValue, type Work } from "../translator.ts";
import { textField } from "../value-fields.ts";
import { routeMatchesOfGroup } from "./http-route-group.ts";

const MAX_BACKENDS = 128;
const MAX_GROUPS = 16;
const MAX_WEIGHT = 1_000_000;
const OWN_NAMESPACE = "a TrafficSplit is for services of its own namespace";

const serviceField = differently(
  z
    .string()
    .max(253)
    .regex(
      /^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[a-z0-9-]+(\.svc(\.[a-z0-9.-]+)?)?)?$/,
      "must be a service: NAME, NAME.NAMESPACE or NAME.NAMESPACE.svc.cluster.local",
    ),
  `a name, or one with the resource's own namespace: ${OWN_NAMESPACE}`,
);
const integerWeight = honoured(z.number().int().min(0).max(MAX_WEIGHT), "relative; 0: none");
const quantityWeight = honoured(
  z.union([z.number().min(0).max(MAX_WEIGHT), z.string()]).transform((weight, context) => {
    const thousandths = typeof weight === "number" ? weight * 1_000 : quantityOf(weight);
    if (thousandths <= MAX_WEIGHT * 1_000) return Math.round(thousandths);
    const message = "must be a quantity such as 1, 500m or 1.5";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }),
  "a quantity: `1`, `500m` (0.5), `1.5`; relative; 0: none",
);

/** In thousandths; infinite for what is none, or is too fine. */
function quantityOf(text: string): number {
  const [, count = "", unit] = /^(\d{1,9}(?:\.\d{1,3})?)(m?)$/.exec(text) ?? [];
  if (count === "") return Number.POSITIVE_INFINITY;
  return unit === "m" ? Number(count) : Number(count) * 1_000;
}

function specField<T extends z.ZodType<number>>(weight: T) {
  const backend = z.strictObject({ service: serviceField, weight });
  return z.strictObject({
    service: serviceField,
    backends: z.array(backend).min(1, "must not be empty").max(MAX_BACKENDS),
  });
}

const first = resourceSchema(specField(quantityWeight));
const second = resourceSchema(specField(integerWeight));
const third = resourceSchema(
  specField(integerWeight).extend({
    matches: z
      .array(
        z.strictObject({
          kind: honoured(z.literal("HTTPRouteGroup", { error: "must be HTTPRouteGroup" })),
          name: honoured(
            textField,
            "all matches of all groups together; other requests go to `service` as if there were no split",
          ),
          apiGroup: honoured(z.literal("specs.smi-spec.io")).optional(),
        }),
      )
      .max(MAX_GROUPS)
      .default([]),
  }),
);
type Resource = z.infer<typeof first> | z.infer<typeof third>;

/** SMI's TrafficSplit. */
export const trafficSplit = defineTranslator<Resource>({
  dialect: "SMI",
  group: "split.smi-spec.io",
  kind: "TrafficSplit",
  notes: [
    "For callers of all namespaces: each request, or connection where the port is no HTTP, goes to one of the backends by weight.",
    "A backend is called at the port with the number that was called, or at its only one; SMI sends none to a backend without that port.",
    "Splits do not chain: a backend that is the `service` of another split gets its own share.",
    "Of several splits of one `service` the oldest counts.",
    "A group that does not exist matches nothing: those requests go to `service`, and a warning says so.",
  ],
  forms: [
    { versions: ["v1alpha1"], schema: first },
    { versions: ["v1alpha2"], schema: second },
    { versions: ["v1alpha3", "v1alpha4"], schema: third },
  ],
  records(work) {
    const { spec } = work.resource;
    const root = serviceOf(work, spec.service, ["spec", "service"]);
    const backends = spec.backends.map(({ service, weight }, index): Backend => {
      return { service: serviceOf(work, service, ["spec", "backends", index, "service"]), weight };
    });
    if (backends.every(({ weight }) => weight === 0)) {
      work.refuse(["spec", "backends"], "all weights are 0: there is nowhere to send requests");
    }
    const groups = "matches" in spec ? spec.matches : [];
    const matches = groups.length === 0 ? [] : matchesOf(work, groups);
    // Nothing that a named group describes is not the same as no group named.
    if (groups.length > 0 && matches.length === 0) return [];
    const rule: RouteRule = { name: "", matches, action: { kind: "forward", backends } };
    const table = (protocol: "http" | "tcp"): TranslatedValue => {
      return { kind: "route", value: tableOf(work, protocol, root, [rule]) };
    };
    // Matches speak of requests, so that connections are split only without any.
    return groups.length > 0 ? [table("http")] : [table("http"), table("tcp")];
  },
});

function tableOf(
  work: Work<Resource>,
  protocol: "http" | "tcp",
  service: string,
  rules: readonly RouteRule[],
): RouteTable {
  return {
    source: work.source,
    createdMs: work.context.createdMs,
    protocol,
    role: "route",
    services: [service],
    clients: null,
    rank: ROUTE_RANKS.smi,
    order: "listed",
    otherwise: "service",
    rules,
  };
}

/** The key of a service by its name, with or without the namespace. */
function serviceOf(work: Work<Resource>, text: string, at: readonly PropertyKey[]): string {
  const [name = "", namespace = work.name.namespace] = text.split(".");
  if (namespace !== work.name.namespace) work.refuse(at, OWN_NAMESPACE);
  return `${namespace}/${name}`;
}

function matchesOf(
  work: Work<Resource>,
  groups: readonly { readonly name: string }[],
): readonly RouteMatch[] {
  return groups.flatMap(({ name }, index) => {
    const matches = routeMatchesOfGroup(work.context, work.name.namespace, name);
    if (matches !== null) return matches;
    const message = `there is no HTTPRouteGroup ${name}: it matches nothing`;
    work.warn(["spec", "matches", index, "name"], message);
    return [];
  });
}
