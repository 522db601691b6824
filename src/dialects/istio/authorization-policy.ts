import * as z from "zod";
import type {
  AuthorizationPolicy,
  AuthorizationRule,
  Condition,
  OperationMatch,
  SourceMatch,
} from "../../core/policy.ts";
import { resourceSchema } from "../envelope.ts";
import { differently, refused } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { conditionField, conditionKey } from "./condition.ts";
import { operationField } from "./operation.ts";
import { scopeFields, scopesOf } from "./scope.ts";
import { sourceField } from "./source.ts";

const MAX_RULES = 512;
const MAX_ALTERNATIVES = 128;
const DRY_RUN = "istio.io/dry-run";
const custom =
  "CUSTOM asks an external authorizer (extensionProviders), and hostmesh calls none: use ALLOW or DENY";

const ruleField = z.strictObject({
  from: z
    .array(z.strictObject({ source: sourceField }))
    .min(1)
    .max(MAX_ALTERNATIVES)
    .optional(),
  to: z
    .array(z.strictObject({ operation: operationField }))
    .min(1)
    .max(MAX_ALTERNATIVES)
    .optional(),
  when: z.array(conditionField).max(MAX_ALTERNATIVES).optional(),
});

const actionField = z.enum(["ALLOW", "DENY", "AUDIT"], {
  error: ({ input }) =>
    input === "CUSTOM" ? custom : "must be ALLOW, DENY or AUDIT (CUSTOM is refused)",
});

const specField = z.strictObject({
  ...scopeFields,
  action: differently(
    actionField,
    "`ALLOW` (default), `DENY`, `AUDIT`; `CUSTOM` is refused",
  ).default("ALLOW"),
  provider: refused(custom),
  rules: z.array(ruleField).max(MAX_RULES).optional(),
});

const schema = resourceSchema(specField.optional());
type Rule = z.infer<typeof ruleField>;
type Resource = z.infer<typeof schema>;

const ACTIONS = { ALLOW: "allow", DENY: "deny", AUDIT: "audit" } as const;

/** Istio's AuthorizationPolicy. */
export const authorizationPolicy = defineTranslator<Resource>({
  dialect: "Istio",
  group: "security.istio.io",
  kind: "AuthorizationPolicy",
  notes: [
    "`spec` absent, or `ALLOW` without rules, allows nothing; a rule `{}` matches everything.",
    'Annotation `istio.io/dry-run: "true"`: decided and reported, without effect. Honoured.',
    "Empty lists are refused: Istio takes them for fields that are not there.",
    "A value with `*` in the middle or at both ends is refused: Istio would take the `*` for itself, and never match.",
  ],
  forms: [{ versions: ["v1", "v1beta1"], schema }],
  policies(work) {
    const { spec, metadata } = work.resource;
    const action = ACTIONS[spec?.action ?? "ALLOW"];
    const rules = spec?.rules ?? [];
    if (action !== "allow" && rules.length === 0) {
      work.refuse(["spec", "rules"], `${spec?.action} without rules never matches`);
    }
    warnOfTraps(work, rules, action);
    const base = {
      kind: "authorization" as const,
      source: work.source,
      createdMs: work.context.createdMs,
      action,
      dryRun: dryRunOf(work, metadata.annotations),
      rules: rules.map((rule) => toRule(rule, work)),
    };
    return scopesOf(work, spec).map((scope): AuthorizationPolicy => ({ ...base, scope }));
  },
});

function dryRunOf(work: Work<unknown>, annotations: Readonly<Record<string, string>>): boolean {
  const value = annotations[DRY_RUN];
  if (value === undefined || value === "false") return false;
  if (value === "true") return true;
  return work.refuse(["metadata", "annotations", DRY_RUN], 'must be "true" or "false"');
}

function toRule({ from = [], to = [], when = [] }: Rule, work: Work<unknown>): AuthorizationRule {
  return {
    from: from.map(({ source }) => toSource(source, work)),
    to: to.map(({ operation }) => present(operation) as OperationMatch),
    when: when.map((condition) => toCondition(condition, work)),
  };
}

function toSource(source: z.infer<typeof sourceField>, work: Work<unknown>): SourceMatch {
  const { principals, notPrincipals, serviceAccounts, notServiceAccounts } = source;
  const own = (list: readonly string[] | undefined) => list?.map((text) => ownDomain(text, work));
  const full = (list: readonly string[] | undefined) => list?.map((text) => account(text, work));
  return present({
    ...source,
    principals: own(principals),
    notPrincipals: own(notPrincipals),
    serviceAccounts: full(serviceAccounts),
    notServiceAccounts: full(notServiceAccounts),
  }) as SourceMatch;
}

function toCondition(
  { key, values = [], notValues = [] }: z.infer<typeof conditionField>,
  work: Work<unknown>,
): Condition {
  const convert = (value: string): string => {
    if (key === "source.principal") return ownDomain(value, work);
    return key === "source.serviceAccount" ? account(value, work) : value;
  };
  return {
    key: conditionKey(key) ?? key,
    values: values.map(convert),
    notValues: notValues.map(convert),
  };
}

/** `cluster.local` stands for the trust domain of the mesh, whatever that is (Istio's trust-domain aliases). */
function ownDomain(principal: string, { context }: Work<unknown>): string {
  return principal.replace(/^cluster\.local\//, `${context.trustDomain}/`);
}

function account(text: string, { name }: Work<unknown>): string {
  return text.includes("/") ? text : `${name.namespace}/${text}`;
}

/** Without the fields that are not there: the store and its comparison know no undefined. */
function present(record: object): object {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

/** What Istio takes and its author may not have meant. */
function warnOfTraps(work: Work<unknown>, rules: readonly Rule[], action: string): void {
  for (const [index, { from = [], to = [] }] of rules.entries()) {
    const place = ["spec", "rules", index];
    for (const [at, { operation }] of to.entries()) {
      for (const { path, trap } of trapsOf(operation)) {
        work.warn([...place, "to", at, "operation", ...path], trap);
      }
    }
    if (action === "deny" && isHttpOnly(from, to)) {
      work.warn(place, "it denies every TCP connection in its scope too: name the ports in `to`");
    }
  }
}

function trapsOf({ paths, notPaths, methods, notMethods }: z.infer<typeof operationField>) {
  return Object.entries({ paths, notPaths, methods, notMethods }).flatMap(([name, list = []]) =>
    list.flatMap((value, nth) => {
      const trap = /paths$/i.test(name) ? pathTrap(value) : methodTrap(value);
      return trap === null ? [] : [{ path: [name, nth], trap }];
    }),
  );
}

function pathTrap(path: string): string | null {
  if (!/^[/*]/.test(path)) return "no path begins so";
  return path.includes("?") ? "paths are matched without their query" : null;
}

function methodTrap(method: string): string | null {
  return /[a-z]/.test(method) ? "methods are upper-case" : null;
}

/** Istio's own test for that warning: missing attributes of HTTP match in a DENY rule. */
function isHttpOnly(from: NonNullable<Rule["from"]>, to: NonNullable<Rule["to"]>): boolean {
  const tcpTo = to.some(({ operation }) => operation.ports ?? operation.notPorts);
  if (to.length > 0) return !tcpTo;
  const tcpFrom = from.some(({ source }) =>
    Object.entries(source).some(([name, list]) => list && !/requestPrincipals$/i.test(name)),
  );
  return from.length > 0 && !tcpFrom;
}
