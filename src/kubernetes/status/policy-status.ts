import { isService } from "../../dialects/gateway/parents.ts";
import { isRecord } from "../api/objects.ts";
import { listOf, messageOf, textOf, type WantedCondition } from "./conditions.ts";
import type { MeshView } from "./mesh-view.ts";
import type { WantedEntry } from "./shared-entries.ts";
import type { StatusObject } from "./status-object.ts";
import { linesOf, type Verdict } from "./verdict.ts";

/** Conditions of an XBackendTrafficPolicy, for each Service that it names (GEP-713, PolicyAncestorStatus). */
export function policyEntries(
  { spec, namespace, generation }: StatusObject,
  { issues, warnings, inForce }: Verdict,
  mesh: MeshView,
): readonly WantedEntry[] {
  const targets = listOf(isRecord(spec) ? spec["targetRefs"] : undefined);
  return targets.flatMap(({ group, kind, name }): WantedEntry[] => {
    if (!isService(textOf(group, ""), textOf(kind, ""))) return [];
    const service = `${namespace}/${textOf(name, "")}`;
    const answer = (): Pick<WantedCondition, "status" | "reason" | "message"> => {
      if (issues.length > 0) {
        const before = inForce === null ? [] : [`generation ${inForce.generation} stays in force`];
        return {
          ...{ status: "False", reason: "Invalid" },
          message: messageOf([...before, ...linesOf(issues)]),
        };
      }
      if (mesh.service(service) === null) {
        const message = `there is no Service ${service}`;
        return { status: "False", reason: "TargetNotFound", message };
      }
      const told = warnings.filter(({ path }) => path.startsWith("spec."));
      return { status: "True", reason: "Accepted", message: messageOf(linesOf(told)) };
    };
    const condition = { type: "Accepted", ...answer(), observedGeneration: generation };
    const ref = { group: "", kind: "Service", namespace, name };
    return [{ ref, conditions: [condition] }];
  });
}
