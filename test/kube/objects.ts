import type { ObjectMeta } from "../../src/kubernetes/api/objects.ts";

/** An object of the Kubernetes API as tests write and read it. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into objects of all kinds
  readonly [field: string]: any;
}

export interface Metadata extends ObjectMeta {
  readonly deletionGracePeriodSeconds?: number;
}

/** Kinds that live in no namespace. */
const OF_THE_CLUSTER: ReadonlySet<string> = new Set([
  "Namespace",
  "Node",
  "ClusterRole",
  "ClusterRoleBinding",
  "CustomResourceDefinition",
  "PriorityClass",
  "GatewayClass",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
]);

const PLURALS: Readonly<Record<string, string>> = {
  Endpoints: "endpoints",
  PodMetrics: "pods",
};

/** The name of a kind in paths: English plurals of kinds end in s, ies or es. */
export function pluralOf(kind: string): string {
  const lower = kind.toLowerCase();
  const known = PLURALS[kind];
  if (known !== undefined) return known;
  if (/[^aeiou]y$/.test(lower)) return `${lower.slice(0, -1)}ies`;
  return /(s|x|ch)$/.test(lower) ? `${lower}es` : `${lower}s`;
}

/** The path of all objects of a kind, of one namespace, or of one object. */
export function pathOf(
  apiVersion: string,
  kind: string,
  { namespace, name, sub }: { namespace?: string; name?: string; sub?: string } = {},
): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const isWide = OF_THE_CLUSTER.has(kind);
  const parts = [
    root,
    ...(isWide || namespace === undefined ? [] : ["namespaces", namespace]),
    pluralOf(kind),
    ...(name === undefined ? [] : [name]),
    ...(sub === undefined ? [] : [sub]),
  ];
  return parts.join("/");
}

/** Of one object; an object that names no namespace is in `default`. */
export function pathOfObject({ apiVersion, kind, metadata }: KubeObject, sub?: string): string {
  const { name, namespace = "default" } = metadata;
  return pathOf(apiVersion, kind, { namespace, name, ...(sub === undefined ? {} : { sub }) });
}
