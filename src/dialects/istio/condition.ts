import * as z from "zod";
import { differently, honoured } from "../support.ts";
import { listOf, patternField, subnetField, textField } from "../value-fields.ts";
import { accountField } from "./source.ts";

/** Keys of `when` without a name in brackets, and what their values are (Istio's table of conditions). */
const PLAIN = new Map<string, z.ZodType<string>>([
  ["source.ip", subnetField],
  ["remote.ip", subnetField],
  ["source.namespace", patternField],
  ["source.principal", patternField],
  ["source.serviceAccount", accountField],
  ["source.trustDomain", patternField],
  ["request.auth.principal", patternField],
  ["request.auth.audiences", patternField],
  ["request.auth.presenter", patternField],
  ["destination.ip", subnetField],
  ["destination.port", z.string().regex(/^[1-9]\d{0,4}$/, "must be a port")],
  ["connection.sni", patternField],
]);

const REPLACED: Readonly<Record<string, string>> = {
  "destination.namespace": "metadata.namespace says that",
  "destination.labels": "spec.selector says that",
  "destination.name": "spec.selector says that",
  "destination.user": "spec.selector says that",
  "experimental.envoy.filters": "there are no filters of Envoy here",
};

/** Header names are matched without regard to case, so their key is lower-case here; claims may be nested. */
export function conditionKey(key: string): string | null {
  if (PLAIN.has(key)) return key;
  const [, header] = /^request\.headers\[([A-Za-z0-9!#$%&'*+.^_`|~:-]{1,128})\]$/.exec(key) ?? [];
  if (header !== undefined) return `request.headers[${header.toLowerCase()}]`;
  return /^request\.auth\.claims(\[[^[\]]{1,256}\]){1,8}$/.test(key) ? key : null;
}

function reasonAgainst(key: string): string {
  const replaced = Object.entries(REPLACED).find(([prefix]) => key.startsWith(prefix));
  if (replaced !== undefined) return `${key} is not taken: ${replaced[1]}`;
  return `unknown attribute ${key}; known: ${[...PLAIN.keys()].join(", ")}, request.headers[NAME], request.auth.claims[NAME]`;
}

export const conditionField = z
  .strictObject({
    key: differently(
      textField,
      `one of ${[...PLAIN.keys()].map((key) => `\`${key}\``).join(", ")}, \`request.headers[NAME]\`, \`request.auth.claims[NAME]\`; \`experimental.envoy.filters.*\` is refused`,
    ),
    values: honoured(listOf(textField)).optional(),
    notValues: honoured(listOf(textField)).optional(),
  })
  .superRefine(({ key, values, notValues }, context) => {
    const refuse = (path: PropertyKey[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    if (conditionKey(key) === null) refuse(["key"], reasonAgainst(key));
    if (values === undefined && notValues === undefined) {
      refuse(["values"], "values or notValues must be given");
    }
    const field = PLAIN.get(key) ?? patternField;
    for (const [name, list] of Object.entries({ values, notValues })) {
      for (const [index, value] of (list ?? []).entries()) {
        const issue = field.safeParse(value).error?.issues[0];
        if (issue !== undefined) refuse([name, index], issue.message);
      }
    }
  });
