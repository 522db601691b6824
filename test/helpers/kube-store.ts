import { isDeepStrictEqual } from "node:util";
import {
  type ApiResource,
  apiVersionOf,
  isRecord,
  type KubeObject,
} from "../../src/kubernetes/api/objects.ts";

// biome-ignore lint/suspicious/noExplicitAny: objects of all kinds, which tests write down as they come
export type Loose = any;

export interface StoreEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly version: number;
  /** Group and kind: an object is the same in all versions. */
  readonly of: string;
  readonly object: KubeObject;
  /** What it was before, for watches that select. */
  readonly before: KubeObject | null;
}

export const DEFINITIONS: ApiResource = {
  group: "apiextensions.k8s.io",
  version: "v1",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  namespaced: false,
};

function builtIn(group: string, kind: string, plural: string, namespaced: boolean): ApiResource {
  return { group, version: "v1", kind, plural, namespaced };
}

const BUILT_IN: readonly ApiResource[] = [
  DEFINITIONS,
  builtIn("", "Namespace", "namespaces", false),
  builtIn("", "Node", "nodes", false),
  builtIn("", "Service", "services", true),
  builtIn("", "Pod", "pods", true),
  builtIn("", "ServiceAccount", "serviceaccounts", true),
  builtIn("", "Secret", "secrets", true),
  builtIn("", "ConfigMap", "configmaps", true),
  builtIn("", "Event", "events", true),
  builtIn("events.k8s.io", "Event", "events", true),
  builtIn("discovery.k8s.io", "EndpointSlice", "endpointslices", true),
  builtIn("coordination.k8s.io", "Lease", "leases", true),
];

/** A refusal, as a Status. */
export class Refusal extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

/** What is kept behind an API server: objects with one counter of versions, and the history of their changes. */
export class KubeStore {
  #version = 100;
  #uids = 0;
  readonly #objects = new Map<string, KubeObject>();
  #history: StoreEvent[] = [];
  #compacted = 0;
  onEvent: (event: StoreEvent) => void = () => {};
  onServed: () => void = () => {};

  get version(): number {
    return this.#version;
  }

  /** Versions before this one cannot be watched from. */
  get compacted(): number {
    return this.#compacted;
  }

  /** Forgets the history. */
  compact(): void {
    this.#history = [];
    this.#compacted = this.#version;
  }

  /** Something changed that nobody watches. */
  advance(): void {
    this.#version++;
  }

  served(): ApiResource[] {
    const definitions = this.list(ofKind(DEFINITIONS)) as Loose[];
    return [
      ...BUILT_IN,
      ...definitions.flatMap(({ spec }) =>
        spec.versions
          .filter((one: Loose) => one.served)
          .map(({ name }: Loose) => ({
            ...{ group: spec.group, version: name, kind: spec.names.kind },
            ...{ plural: spec.names.plural, namespaced: spec.scope === "Namespaced" },
          })),
      ),
    ];
  }

  resourceOf(object: { readonly apiVersion: string; readonly kind: string }): ApiResource {
    const found = this.served().find(
      (one) => apiVersionOf(one) === object.apiVersion && one.kind === object.kind,
    );
    if (found === undefined) throw new Error(`${object.apiVersion} ${object.kind} is not served`);
    return found;
  }

  list(of: string): KubeObject[] {
    return [...this.#objects]
      .filter(([key]) => key.startsWith(`${of}|`))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  get(of: string, namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(`${of}|${namespace}|${name}`);
  }

  history(of: string, after: number): StoreEvent[] {
    return this.#history.filter((event) => event.of === of && event.version > after);
  }

  /** Creates or replaces; answers with what is kept. The generation counts changes of the specification. */
  write(resource: ApiResource, content: Loose): KubeObject {
    const of = ofKind(resource);
    const { name, namespace = "" } = content.metadata;
    const before = this.get(of, namespace, name) as Loose;
    const change = (object: Loose) => ({ ...object, metadata: null, status: null });
    const isSame = before !== undefined && isDeepStrictEqual(change(before), change(content));
    const version = ++this.#version;
    const object: Loose = {
      ...content,
      metadata: {
        uid: before?.metadata.uid ?? `uid-${++this.#uids}`,
        creationTimestamp: before?.metadata.creationTimestamp ?? new Date().toISOString(),
        ...content.metadata,
        generation: (before?.metadata.generation ?? 0) + (isSame ? 0 : 1),
        resourceVersion: String(version),
      },
    };
    if (of === ofKind(DEFINITIONS)) object.status ??= established();
    this.#objects.set(`${of}|${namespace}|${name}`, object);
    const type = before === undefined ? "ADDED" : "MODIFIED";
    this.#append({ type, version, of, object, before: before ?? null });
    return object;
  }

  remove(resource: ApiResource, namespace: string, name: string): KubeObject | undefined {
    const of = ofKind(resource);
    const before = this.get(of, namespace, name);
    if (before === undefined) return undefined;
    const { spec } = before as Loose;
    this.#objects.delete(`${of}|${namespace}|${name}`);
    const version = ++this.#version;
    const metadata = { ...before.metadata, resourceVersion: String(version) };
    this.#append({ type: "DELETED", version, of, object: { ...before, metadata }, before });
    if (of === ofKind(DEFINITIONS)) {
      const gone = `${spec.group}/${spec.names.kind}|`;
      for (const key of this.#objects.keys()) if (key.startsWith(gone)) this.#objects.delete(key);
    }
    return before;
  }

  #append(event: StoreEvent): void {
    this.#history.push(event);
    this.onEvent(event);
    if (event.of === ofKind(DEFINITIONS)) this.onServed();
  }
}

export function ofKind({ group, kind }: ApiResource): string {
  return `${group}/${kind}`;
}

function established() {
  return { conditions: [{ type: "Established", status: "True" }] };
}

/** A definition of a custom resource, as far as it is read. */
export function definitionOf(
  group: string,
  kind: string,
  versions: readonly string[],
  plural = `${kind.toLowerCase()}s`,
): Loose {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      ...{ group, scope: "Namespaced", names: { kind, plural } },
      versions: versions.map((name, index) => ({ name, served: true, storage: index === 0 })),
    },
  };
}

/** RFC 7386. */
export function mergePatch(target: Loose, patch: Loose): Loose {
  if (!isRecord(patch)) return patch;
  const merged: Record<string, Loose> = isRecord(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

/** `a=b`, `a!=b`, `a`, `!a`, `a in (b, c)`, joined by commas; of fields, equality of a path. */
export function selects(
  object: KubeObject,
  labelSelector: string | null,
  fieldSelector: string | null,
): boolean {
  const labels = object.metadata.labels ?? {};
  const byLabel = splitSelector(labelSelector).every((term) => {
    const [, name = "", list] = /^([^\s=!]+)\s+in\s+\((.*)\)$/.exec(term) ?? [];
    if (list !== undefined) return list.split(/\s*,\s*/).includes(labels[name] ?? "");
    if (term.startsWith("!")) return !(term.slice(1) in labels);
    const [, key = "", operator, value] = /^([^=!]+)(!=|==?)(.*)$/.exec(term) ?? [];
    if (operator === undefined) return term in labels;
    return operator === "!=" ? labels[key] !== value : labels[key] === value;
  });
  const byField = splitSelector(fieldSelector).every((term) => {
    const [, path = "", operator, value] = /^([^=!]+)(!=|==?)(.*)$/.exec(term) ?? [];
    const found = path.split(".").reduce((at: Loose, name) => at?.[name], object) ?? "";
    return (String(found) === value) === (operator !== "!=");
  });
  return byLabel && byField;
}

function splitSelector(selector: string | null): string[] {
  return (selector ?? "").split(/,(?![^(]*\))/).filter((term) => term !== "");
}
