import { isService, kindOf } from "../../dialects/gateway/parents.ts";
import { isRecord } from "../api/objects.ts";
import { listOf, messageOf, textOf, type WantedCondition } from "./conditions.ts";
import type { MeshView } from "./mesh-view.ts";

/** Gateway API's reasons (RouteConditionResolvedRefs) that there are in a mesh, where no reference needs a grant. */
type Reason = "InvalidKind" | "BackendNotFound" | "UnsupportedProtocol";

interface Problem {
  readonly reason: Reason;
  readonly message: string;
}

/** Does everything that the rules of a route refer to exist, and can it be called? */
export function resolvedRefs(
  spec: unknown,
  namespace: string,
  mesh: MeshView,
  observedGeneration: number,
): WantedCondition {
  const problems = referencesOf(spec).flatMap(([place, reference]) => {
    const problem = problemOf(reference, namespace, mesh);
    return problem === null
      ? []
      : [{ ...problem, message: `${place}: ${problem.message}` } satisfies Problem];
  });
  const [first] = problems;
  return {
    type: "ResolvedRefs",
    status: first === undefined ? "True" : "False",
    reason: first?.reason ?? "ResolvedRefs",
    message: messageOf(problems.map(({ message }) => message)),
    observedGeneration,
  };
}

type Place = readonly [path: string, reference: Readonly<Record<string, unknown>>];

/** Backends, and those that get copies. */
function referencesOf(spec: unknown): Place[] {
  const rules = listOf(isRecord(spec) ? spec["rules"] : undefined);
  return rules.flatMap(({ backendRefs, filters }, rule): Place[] => {
    const at = `spec.rules[${rule}]`;
    const backends = listOf(backendRefs).map((reference, index): Place => {
      return [`${at}.backendRefs[${index}]`, reference];
    });
    const mirrors = listOf(filters).flatMap(({ requestMirror }, index): Place[] => {
      const reference = isRecord(requestMirror) ? requestMirror["backendRef"] : undefined;
      const place = `${at}.filters[${index}].requestMirror.backendRef`;
      return isRecord(reference) ? [[place, reference]] : [];
    });
    return [...backends, ...mirrors];
  });
}

function problemOf(
  reference: Readonly<Record<string, unknown>>,
  own: string,
  mesh: MeshView,
): Problem | null {
  const [group, kind] = [textOf(reference["group"], ""), textOf(reference["kind"], "Service")];
  if (!isService(group, kind)) {
    const message = `${kindOf(group, kind)} leads nowhere: only Services are known`;
    return { reason: "InvalidKind", message };
  }
  const key = `${textOf(reference["namespace"], own)}/${textOf(reference["name"], "")}`;
  const service = mesh.service(key);
  if (service === null) {
    return { reason: "BackendNotFound", message: `there is no Service ${key}` };
  }
  if (service.form === "external-name") {
    return { reason: "InvalidKind", message: `the Service ${key} is of type ExternalName` };
  }
  const { port } = reference;
  const found = service.ports.find((one) => one.port === port);
  if (found === undefined && service.ports.length > 0) {
    const message = `the Service ${key} has no port ${String(port)} of TCP`;
    return { reason: "BackendNotFound", message };
  }
  if (found?.protocol !== "tls") return null;
  const message = `port ${found.port} of the Service ${key} is declared to speak TLS, which the mesh does not begin`;
  return { reason: "UnsupportedProtocol", message };
}
