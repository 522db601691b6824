import { parseAllDocuments } from "yaml";
import { DEFAULT_NAMESPACE } from "../src/core/model.ts";

/** One call of the registry's API. */
export interface RegistryCall {
  readonly method: "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

/** What a file declares: the calls that register it, and for each record the call that removes it. */
export interface Declarations {
  readonly apply: readonly RegistryCall[];
  readonly remove: readonly RegistryCall[];
}

/**
 * Reads YAML (several documents are fine) or JSON. Each document is a Consul service definition
 * (`service: {...}`, `services: [...]` or the bare body of a registration), or hostmesh's own form with
 * `services`, `endpoints` and `workloads`. `host` is this host's name, to which records belong that name
 * none. Throws with the file's name.
 */
export function parseDeclarations(file: string, text: string, host: string): Declarations {
  const apply: RegistryCall[] = [];
  const remove: RegistryCall[] = [];
  for (const document of parseAllDocuments(text)) {
    const [problem] = document.errors;
    if (problem !== undefined) {
      // The lines after the first draw the place, which the first one names.
      const [said = ""] = problem.message.split("\n");
      throw new Error(`${file}: ${said.replace(/:$/, "")}`, { cause: problem });
    }
    const content: unknown = document.toJS();
    if (content === null || content === undefined) continue;
    if (!isRecord(content)) throw new Error(`${file}: expected a mapping`);
    const instances = consulInstances(content);
    if (instances === null) {
      apply.push({ method: "POST", path: "/v1/mesh/apply", body: content });
      remove.push(...ownRemovals(content, host));
    }
    for (const body of instances ?? []) {
      apply.push({ method: "PUT", path: "/v1/agent/service/register", body });
      const id = textOf(body, "id") ?? textOf(body, "name") ?? "";
      remove.push({ method: "PUT", path: `/v1/agent/service/deregister/${encodePath(id)}` });
    }
  }
  return { apply, remove };
}

/** The Consul definitions of a document, or null where it has hostmesh's own form. */
function consulInstances(content: Record<string, unknown>): unknown[] | null {
  const { service, services } = content;
  if (isRecord(service)) return [service];
  if ("name" in content || "Name" in content) return [content];
  // A service of our own model has `ports`, an instance as Consul defines it has one `port`.
  const isConsul = (one: unknown) => isRecord(one) && ("port" in one || "Port" in one);
  return Array.isArray(services) && services.some(isConsul) ? services : null;
}

function ownRemovals(content: Record<string, unknown>, host: string): RegistryCall[] {
  const list = (name: string): unknown[] => {
    const found = content[name];
    return Array.isArray(found) ? found : [];
  };
  const named = (kind: string, one: unknown): RegistryCall => {
    const namespace = textOf(one, "namespace") ?? DEFAULT_NAMESPACE;
    const key = [namespace, textOf(one, "name") ?? ""].map(encodeURIComponent).join("/");
    return { method: "DELETE", path: `/v1/mesh/${kind}/${key}` };
  };
  const endpoint = (one: unknown): RegistryCall => {
    const id = `${textOf(one, "host") ?? host}/${textOf(one, "id") ?? ""}`;
    return { method: "DELETE", path: `/v1/mesh/endpoints/${encodePath(id)}` };
  };
  return [
    ...list("endpoints").map(endpoint),
    ...list("workloads").map((one) => named("workloads", one)),
    ...list("services").map((one) => named("services", one)),
  ];
}

/** A text field of a record, whatever the case of its name: Consul takes both `ID` and `id`. */
function textOf(record: unknown, name: string): string | undefined {
  if (!isRecord(record)) return undefined;
  for (const [key, value] of Object.entries(record)) {
    if (key.toLowerCase() === name && typeof value === "string" && value !== "") return value;
  }
  return undefined;
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
