import { DEFAULT_NAMESPACE } from "../src/core/model.ts";
import { foreignResource } from "../src/dialects/foreign-kinds.ts";
import { type ResourceText, readResources } from "../src/dialects/resource-documents.ts";
import { identify, isResource } from "../src/dialects/translate.ts";
import { TranslationError } from "../src/dialects/translator.ts";

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
  /** Resources of Istio, SMI and Consul with their places; they are part of `apply`. */
  readonly resources: readonly ResourceText[];
}

/** Resources in one call. */
const BATCH = 250;

/**
 * Reads YAML (several documents are fine) or JSON. Each document is a Consul service definition
 * (`service: {...}`, `services: [...]` or the bare body of a registration), hostmesh's own form with
 * `services`, `endpoints`, `workloads` and `resources`, or a resource of Istio, SMI or Consul (`apiVersion` and `kind`).
 * Kinds of Kubernetes that say nothing to a mesh (Deployment, Secret, ...) are left out. `host` is this host's name, to
 * which records belong that name none. Throws with the file's name.
 */
export function parseDeclarations(file: string, text: string, host: string): Declarations {
  const parts = documentsOf(file, text).map((document) => declaredIn(document, file, host));
  const resources = parts
    .flatMap((part) => part.resources)
    .filter(({ resource }) => foreignResource(resource) === null);
  return {
    apply: [...parts.flatMap(({ apply }) => apply), ...resourceCalls(resources)],
    remove: [...parts.flatMap(({ remove }) => remove), ...resources.flatMap(resourceRemoval)],
    resources,
  };
}

/** What one document declares; the calls for its resources are not made yet. */
function declaredIn(document: ResourceText, file: string, host: string): Declarations {
  const { resource: content, line } = document;
  if (isResource(content)) return { apply: [], remove: [], resources: [document] };
  if (!isRecord(content)) throw new Error(`${file}:${line}: expected a mapping`);
  const instances = consulInstances(content);
  if (instances !== null) return { ...consulCalls(instances), resources: [] };
  const { resources, ...own } = content;
  const inside = Array.isArray(resources) ? placed(resources, document) : [];
  const isOwn = resources === undefined || Object.keys(own).length > 0;
  return {
    apply: isOwn ? [{ method: "POST", path: "/v1/mesh/apply", body: own }] : [],
    remove: ownRemovals(content, host),
    resources: inside,
  };
}

function consulCalls(instances: readonly unknown[]) {
  return {
    apply: instances.map(
      (body): RegistryCall => ({ method: "PUT", path: "/v1/agent/service/register", body }),
    ),
    remove: instances.map((body): RegistryCall => {
      const id = textOf(body, "id") ?? textOf(body, "name") ?? "";
      return { method: "PUT", path: `/v1/agent/service/deregister/${encodePath(id)}` };
    }),
  };
}

/** Throws for a file of which any document is no YAML. */
function documentsOf(file: string, text: string): readonly ResourceText[] {
  const { resources, problems } = readResources(text);
  const [first] = problems;
  if (first === undefined) return resources;
  throw new Error(`${file}:${first.line}: ${first.message}`, { cause: first });
}

/** Resources in a list beside services, with the places that their document knows. */
function placed(list: readonly unknown[], document: ResourceText): ResourceText[] {
  return list.map((resource, index) => {
    const at = `resources[${index}]`;
    const placeOf = (path: string) => document.placeOf(path === "" ? at : `${at}.${path}`);
    const lineOf = (path: string) => placeOf(path).line;
    return { resource, line: lineOf(""), lineOf, placeOf };
  });
}

/** All or nothing, as everything that a file declares. */
function resourceCalls(resources: readonly ResourceText[]): RegistryCall[] {
  const calls: RegistryCall[] = [];
  for (let start = 0; start < resources.length; start += BATCH) {
    const body = resources.slice(start, start + BATCH).map(({ resource }) => resource);
    calls.push({ method: "POST", path: "/v1/mesh/resources?atomic=true", body });
  }
  return calls;
}

/** None for a resource that the registry will refuse. */
function resourceRemoval({ resource }: ResourceText): RegistryCall[] {
  try {
    const { group, kind, namespace, name } = identify(resource).name;
    const path = [group, kind, namespace, name].map(encodeURIComponent).join("/");
    return [{ method: "DELETE", path: `/v1/mesh/resources/${path}` }];
  } catch (error) {
    if (error instanceof TranslationError) return [];
    throw error;
  }
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
