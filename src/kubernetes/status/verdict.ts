import type { Issue } from "../../core/schema-issue.ts";
import type { Catalog } from "../../registry/catalog.ts";
import type { ResourceWarning } from "../../registry/records.ts";
import { isRecord } from "../api/objects.ts";
import type { Refusals } from "./refusals.ts";
import type { StatusObject } from "./status-object.ts";

/** What the registry made of an object. */
export interface Verdict {
  /** Why its present form is refused; empty: it is in force. */
  readonly issues: readonly Issue[];
  readonly warnings: readonly ResourceWarning[];
  /** What is in force: the present form, or an earlier one; null: nothing. */
  readonly inForce: { readonly generation: number; readonly spec: unknown } | null;
}

/** Null while the registry has not come to the object's present form. */
export function verdictOf(
  object: StatusObject,
  catalog: Pick<Catalog, "get">,
  refusals: Pick<Refusals, "get">,
): Verdict | null {
  const stored = catalog.get("resource", object.key);
  const generation = stored === undefined ? -1 : generationOf(stored.content);
  const inForce = stored === undefined ? null : { generation, spec: stored.content["spec"] };
  const refusal = refusals.get(object.key);
  const { uid = "", generation: refused = 0 } = refusal?.object.metadata ?? {};
  if (refusal !== undefined && refused === object.generation && uid === object.uid) {
    return { issues: refusal.issues, warnings: [], inForce };
  }
  if (stored === undefined || generation !== object.generation) return null;
  return { issues: [], warnings: stored.warnings, inForce };
}

/** Of the specification, as the API server counts; 0 where it does not. */
function generationOf(content: Readonly<Record<string, unknown>>): number {
  const metadata = content["metadata"];
  const generation = isRecord(metadata) ? metadata["generation"] : undefined;
  return typeof generation === "number" ? generation : 0;
}

/** `path: what`, of each. */
export function linesOf(
  issues: readonly { readonly path: string; readonly reason?: string; readonly message?: string }[],
): string[] {
  return issues.map(({ path, reason, message }) => {
    const text = reason ?? message ?? "";
    return path === "" ? text : `${path}: ${text}`;
  });
}
