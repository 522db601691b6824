import * as z from "zod";
import { namespaceName } from "../envelope.ts";
import { regexField } from "../regex-field.ts";
import { differently, honoured, ineffective, refused } from "../support.ts";
import { hasOnePath, headerConditions, methodsField, pathText, unset } from "./http-fields.ts";

const MAX_SOURCES = 512;
const MAX_PERMISSIONS = 128;
const BY_CONSUL = "Consul's servers set it";
const NO_JWT = "there are no jwt-provider entries: use Istio's RequestAuthentication";

/** Names of services, as the registry takes them. */
export const serviceName = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/,
    "must be 1 to 63 letters, digits, - or _, beginning and ending with a letter or digit",
  );
export const serviceOrAll = z.union([z.literal("*"), serviceName], {
  error: "must be * or the name of a service",
});
const action = z.enum(["allow", "deny"]);

const headerField = z
  .strictObject({
    ...headerConditions,
    regex: honoured(z.union([unset, regexField])).optional(),
    invert: differently(
      z.boolean(),
      "the header must be there and not match (`present`: must not be there); refused beside `regex`, and for values with `*` or `{`",
    ).optional(),
  })
  .superRefine((header, context) => {
    const { present, exact, prefix, suffix, regex, invert } = header;
    const given = [present, exact, prefix, suffix, regex].filter(Boolean);
    const refuse = (message: string, at: PropertyKey[] = []) =>
      context.addIssue({ code: "custom", message, path: at });
    if (given.length !== 1) refuse("give one of present, exact, prefix, suffix and regex");
    if (invert !== true) return;
    if (regex) refuse("a regular expression cannot be inverted: RE2 has no such thing", ["invert"]);
    if ([exact, prefix, suffix].some((value) => value && /[*{]/.test(value))) {
      refuse("a value with * or { cannot be inverted", ["invert"]);
    }
  });
export type HeaderMatch = z.infer<typeof headerField>;

/** The model has one expression for a header. */
function refuseSecondRegex(headers: readonly HeaderMatch[], context: z.RefinementCtx): void {
  const seen = new Set<string>();
  for (const [index, { name, regex, exact, prefix, suffix }] of headers.entries()) {
    if (!regex && !/[*{]/.test(exact || prefix || suffix || "")) continue;
    if (seen.has(name)) {
      const message = `${name} is matched by two expressions: give one`;
      context.addIssue({ code: "custom", path: [index], message });
    }
    seen.add(name);
  }
}

const httpField = z
  .strictObject({
    pathExact: honoured(z.union([unset, pathText])).optional(),
    pathPrefix: honoured(z.union([unset, pathText])).optional(),
    pathRegex: honoured(z.union([unset, regexField]), "RE2 syntax, for the whole path").optional(),
    header: z.array(headerField).max(32).superRefine(refuseSecondRegex).optional(),
    methods: methodsField.optional(),
  })
  .refine(hasOnePath.holds, hasOnePath.message);
export type HttpMatch = z.infer<typeof httpField>;

const permissionField = z.strictObject({
  action: honoured(action),
  http: httpField.optional(),
  jwt: refused(NO_JWT),
});

/** Partitions and peers are other meshes. */
const partition = differently(
  z.literal(["", "default"], { error: "only the partition `default`: there are no others" }),
  "only `default`",
).optional();

const sourceField = z
  .strictObject({
    name: honoured(serviceOrAll, "the identity `ns/NAMESPACE/sa/NAME` in the mesh's trust domain"),
    namespace: differently(
      z.union([unset, z.literal("*"), namespaceName]),
      "default: the destination's. Without it, `deny` for `*` is for every caller, also one without identity",
    ).optional(),
    partition,
    peer: differently(
      z.literal("", { error: "there are no peers" }),
      "refused: there are no peers",
    ).optional(),
    samenessGroup: differently(
      z.literal("", { error: "there are no sameness groups" }),
      "refused: there are no sameness groups",
    ).optional(),
    action: honoured(z.union([unset, action])).optional(),
    permissions: z.array(permissionField).max(MAX_PERMISSIONS).optional(),
    type: differently(z.literal(["", "consul"]), "only `consul`").optional(),
    description: honoured(z.string().max(2_048), "kept").optional(),
    precedence: ineffective(z.number(), BY_CONSUL),
    legacyID: ineffective(z.string(), BY_CONSUL),
    legacyMeta: ineffective(z.unknown(), BY_CONSUL),
    legacyCreateTime: ineffective(z.unknown(), BY_CONSUL),
    legacyUpdateTime: ineffective(z.unknown(), BY_CONSUL),
  })
  .superRefine(({ name, namespace, action: acts, permissions = [] }, context) => {
    const refuse = (message: string, at: PropertyKey[] = []) =>
      context.addIssue({ code: "custom", message, path: at });
    if (acts === undefined && permissions.length === 0) refuse("give action or permissions");
    if (acts !== undefined && permissions.length > 0) {
      refuse("cannot stand beside permissions", ["action"]);
    }
    if (namespace === "*" && name !== "*") {
      refuse("* takes the name * too", ["namespace"]);
    }
  });
export type SourceIntention = z.infer<typeof sourceField>;

export const sourcesField = z
  .array(sourceField)
  .min(1, "at least one source must be given")
  .max(MAX_SOURCES)
  .superRefine((sources, context) => {
    const seen = new Set<string>();
    for (const [index, { name, namespace }] of sources.entries()) {
      const key = `${namespace ?? ""}/${name}`;
      if (seen.has(key)) {
        context.addIssue({ code: "custom", path: [index], message: "this source is given twice" });
      }
      seen.add(key);
    }
  });

export const destinationNamespace = z.union([unset, namespaceName], {
  error: "must be one namespace: destinations in all namespaces (*) take an entry in each",
});

export const jwtField = refused(NO_JWT);
export const partitionField = partition;
export const setByConsul = (schema: z.ZodType) => ineffective(schema, BY_CONSUL);
