import * as z from "zod";
import type { AuthorizationRule, OperationMatch } from "../../core/policy.ts";
import { envelopeFields, namespaceName } from "../envelope.ts";
import { differently, honoured, refused } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { portField, textField } from "../value-fields.ts";
import { matchesOfGroup } from "./http-route-group.ts";
import { portsOfRoute } from "./tcp-route.ts";

const MAX_SOURCES = 256;
const MAX_RULES = 128;
const noBinding = "only ServiceAccount: there are no IdentityBindings";
const ownNamespace = "a TrafficTarget is for destinations of its own namespace";

const accountName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, "must be the name of a service account");
const subject = {
  kind: differently(z.literal("ServiceAccount", { error: noBinding }), noBinding),
  name: honoured(accountName),
};
const sourceField = z.strictObject({
  ...subject,
  namespace: honoured(namespaceName, "default: the resource's own").optional(),
});
const destinationFields = {
  ...subject,
  namespace: differently(
    namespaceName,
    `default, and only: the resource's own; ${ownNamespace}`,
  ).optional(),
};
const portOfDestination = honoured(portField, "port of the workload").optional();

const ruleField = z.strictObject({
  kind: differently(
    z.literal(["HTTPRouteGroup", "TCPRoute"], {
      error: ({ input }) =>
        input === "UDPRoute"
          ? "UDPRoute is refused: UDP is not carried by the mesh"
          : "must be HTTPRouteGroup or TCPRoute",
    }),
    "`HTTPRouteGroup` and `TCPRoute`; `UDPRoute` is refused: UDP is not carried by the mesh",
  ),
  name: honoured(textField),
  matches: honoured(z.array(textField).max(128), "of an HTTPRouteGroup; none: all").optional(),
});

const sourcesField = z
  .array(sourceField)
  .min(1, "at least one source must be given")
  .max(MAX_SOURCES);
const rulesField = z.array(ruleField).min(1, "at least one rule must be given").max(MAX_RULES);
const withPort = z.strictObject({ ...destinationFields, port: portOfDestination });
const withoutPort = z.strictObject({
  ...destinationFields,
  port: refused("since v1alpha3 ports stand in a TCPRoute"),
});

const first = z.strictObject({
  ...envelopeFields,
  destination: withPort,
  specs: rulesField,
  sources: sourcesField,
});
const second = z.strictObject({
  ...envelopeFields,
  spec: z.strictObject({ destination: withPort, rules: rulesField, sources: sourcesField }),
});
const third = z.strictObject({
  ...envelopeFields,
  spec: z.strictObject({ destination: withoutPort, rules: rulesField, sources: sourcesField }),
});
type Resource = z.infer<typeof first> | z.infer<typeof second> | z.infer<typeof third>;

/** SMI's TrafficTarget. */
export const trafficTarget = defineTranslator<Resource>({
  dialect: "SMI",
  group: "access.smi-spec.io",
  kind: "TrafficTarget",
  notes: [
    "An allow policy for the workloads of the destination's service account: once there is one, callers that no TrafficTarget of it names are denied. Workloads that are no destination are not closed by SMI (its specification denies them too).",
    "A rule that names what does not exist matches nothing, and a warning says so: it fails closed.",
    "TCPRoutes and HTTPRouteGroups of one TrafficTarget must both match, as in the specification's example.",
  ],
  forms: [
    { versions: ["v1alpha1"], schema: first },
    { versions: ["v1alpha2"], schema: second },
    { versions: ["v1alpha3"], schema: third },
  ],
  policies(work) {
    const { destination, sources, rules, at } = partsOf(work.resource);
    const { namespace } = work.name;
    if ((destination.namespace ?? namespace) !== namespace) {
      work.refuse([...at, "destination", "namespace"], ownNamespace);
    }
    // The trust domain is left open: what matters is that the certificate is one of this mesh.
    const principals = sources.map(
      (source) => `*/ns/${source.namespace ?? namespace}/sa/${source.name}`,
    );
    const to = operationsOf(work, destination.port, rules, [
      ...at,
      "spec" in work.resource ? "rules" : "specs",
    ]);
    const rule: AuthorizationRule = { from: [{ principals }], to: to ?? [], when: [] };
    return [
      {
        kind: "authorization",
        source: work.source,
        createdMs: work.context.createdMs,
        scope: { namespace, labels: {}, serviceAccount: destination.name },
        action: "allow",
        dryRun: false,
        rules: to === null ? [] : [rule],
      },
    ];
  },
});

function partsOf(resource: Resource) {
  if ("spec" in resource) return { ...resource.spec, at: ["spec"] };
  const { destination, sources, specs } = resource;
  return { destination, sources, rules: specs, at: [] };
}

type Rules = readonly z.infer<typeof ruleField>[];

/** Every allowed match at every allowed port; an empty list is anything, null is nothing. */
function operationsOf(
  work: Work<unknown>,
  port: number | undefined,
  rules: Rules,
  at: readonly PropertyKey[],
): readonly OperationMatch[] | null {
  const ports = portsOf(work, port, rules, at);
  const matches = httpOf(work, rules, at);
  if (ports === null || matches === null) return null;
  const atPorts = ports.length === 0 ? {} : { ports };
  const found = matches.map((match) => ({ ...match, ...atPorts }));
  // One that asks for nothing makes all others superfluous.
  return found.some((match) => Object.keys(match).length === 0) ? [] : found;
}

/** Ports that the TCPRoutes name, together; none: any; null: only routes that do not exist. */
function portsOf(
  work: Work<unknown>,
  port: number | undefined,
  rules: Rules,
  at: readonly PropertyKey[],
): readonly number[] | null {
  const lists: (readonly number[])[] = port === undefined ? [] : [[port]];
  let missing = 0;
  for (const { index, name, matches } of ofKind(rules, "TCPRoute")) {
    if (matches !== undefined) {
      work.refuse([...at, index, "matches"], "a TCPRoute has no matches to name");
    }
    const ports = portsOfRoute(work.context, work.name.namespace, name);
    if (ports !== null) {
      lists.push(ports);
      continue;
    }
    missing++;
    work.warn([...at, index, "name"], `there is no TCPRoute ${name}: this rule matches nothing`);
  }
  if (lists.length === 0 && missing > 0) return null;
  if (lists.some((list) => list.length === 0)) return [];
  return [...new Set(lists.flat())].sort((a, b) => a - b);
}

/** Matches of the HTTPRouteGroups; one that asks for nothing where no group is named; null: none exists. */
function httpOf(
  work: Work<unknown>,
  rules: Rules,
  at: readonly PropertyKey[],
): readonly OperationMatch[] | null {
  const named = ofKind(rules, "HTTPRouteGroup");
  if (named.length === 0) return [{}];
  const found = named.flatMap(({ index, name, matches = [] }) => {
    const group = matchesOfGroup(work.context, work.name.namespace, name);
    if (group === null) {
      const message = `there is no HTTPRouteGroup ${name}: this rule matches nothing`;
      work.warn([...at, index, "name"], message);
      return [];
    }
    if (matches.length === 0) return [...group.values()];
    return matches.flatMap((match, nth) => {
      const operation = group.get(match);
      if (operation !== undefined) return [operation];
      const message = `HTTPRouteGroup ${name} has no match ${match}`;
      work.warn([...at, index, "matches", nth], message);
      return [];
    });
  });
  return found.length === 0 ? null : found;
}

/** The rules that name a route of this kind, with their places. */
function ofKind(rules: Rules, kind: Rules[number]["kind"]) {
  return rules.map((rule, index) => ({ ...rule, index })).filter((rule) => rule.kind === kind);
}
