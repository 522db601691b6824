import { isDeepStrictEqual } from "node:util";
import { isRecord } from "../api/objects.ts";
import { conditionsSince, listOf, messageOf, textOf, type WantedCondition } from "./conditions.ts";
import type { StatusObject } from "./status-object.ts";
import { linesOf, type Verdict } from "./verdict.ts";

/** Of ours in `status.conditions`; istiod's own have other types, and stay. */
export const ISTIO_CONDITION = "hostmesh.io/Accepted";

/** Codes of `hostmesh analyze`; by their begin ours are told from istiod's (`IST…`). */
const OUR_CODES = "HM";
const REFUSED = { type: { name: "RefusedField", code: "HM0002" }, level: "ERROR" } as const;
const WITHOUT_EFFECT = {
  type: { name: "FieldWithoutEffect", code: "HM0101" },
  level: "WARNING",
} as const;

/**
 * The fields that Istio has in the status of its resources (meta/v1alpha1 IstioStatus): a condition of our own and
 * `validationMessages`, as istiod's analysis writes them. Null: they are so already.
 */
export function istioPatch(
  { status, generation }: StatusObject,
  verdict: Verdict,
  now: string,
): Readonly<Record<string, unknown>> | null {
  const { conditions, validationMessages } = isRecord(status) ? status : {};
  const present = {
    conditions: listOf(conditions),
    validationMessages: listOf(validationMessages),
  };
  const wanted = conditionOf(verdict, generation);
  const [own] = conditionsSince(conditions, [wanted], now);
  const isOurs = (message: Readonly<Record<string, unknown>>) =>
    isRecord(message["type"]) && textOf(message["type"]["code"], "").startsWith(OUR_CODES);
  const changed = {
    conditions: [...present.conditions.filter(({ type }) => type !== ISTIO_CONDITION), own],
    validationMessages: [
      ...present.validationMessages.filter((message) => !isOurs(message)),
      ...messagesOf(verdict),
    ],
  };
  const mustChange =
    !isSameList(changed.conditions, present.conditions) ||
    !isSameList(changed.validationMessages, present.validationMessages);
  if (!mustChange) return null;
  // An empty list where there was none would only be a change for its own sake.
  const hasMessages = changed.validationMessages.length + present.validationMessages.length > 0;
  return hasMessages ? changed : { conditions: changed.conditions };
}

function conditionOf(
  { issues, warnings, inForce }: Verdict,
  observedGeneration: number,
): WantedCondition {
  const told = effects(warnings);
  if (issues.length === 0) {
    return {
      ...{ type: ISTIO_CONDITION, status: "True", observedGeneration },
      reason: told.length === 0 ? "Accepted" : "FieldsWithoutEffect",
      message: messageOf(linesOf(told)),
    };
  }
  const before = inForce === null ? [] : [`generation ${inForce.generation} stays in force`];
  return {
    ...{ type: ISTIO_CONDITION, status: "False", reason: "Refused", observedGeneration },
    message: messageOf([...before, ...linesOf(issues)]),
  };
}

/** Each kind of message once: they have no text in Istio, only a code. */
function messagesOf({ issues, warnings }: Verdict): readonly object[] {
  if (issues.length > 0) return [REFUSED];
  return effects(warnings).length > 0 ? [WITHOUT_EFFECT] : [];
}

/** Without those about metadata, which the API server fills in. */
function effects<T extends { readonly path: string }>(warnings: readonly T[]): readonly T[] {
  return warnings.filter(({ path }) => path === "" || path.startsWith("spec"));
}

/** The same entries, in whatever order: others may write theirs before or behind ours. */
function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return (
    a.length === b.length && a.every((one) => b.some((other) => isDeepStrictEqual(one, other)))
  );
}
