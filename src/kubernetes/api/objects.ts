/** Who an object belongs to; it goes when they go. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

/** `metadata` of an object (k8s.io/apimachinery, meta/v1 ObjectMeta), as far as it is read here. Times are RFC 3339. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: unknown;
}

/** Any object of the API. That it has a kind and a name is checked where it comes in; what else it holds is not. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** A kind as the API server serves it, in one version. `group` is empty for the core kinds (`/api/v1`). */
export interface ApiResource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Lower case, as in paths: `endpointslices`. */
  readonly plural: string;
  readonly namespaced: boolean;
}

/** `v1`, or `group/v1`. */
export function apiVersionOf({ group, version }: Pick<ApiResource, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}

/**
 * The path of a collection, of one object or of its status. A namespace is left out of the path of kinds that have
 * none, and without one the collection is that of all namespaces.
 */
export function pathOf(
  resource: ApiResource,
  namespace?: string,
  name?: string,
  sub?: "status",
): string {
  const parts = [resource.group === "" ? "/api" : "/apis", apiVersionOf(resource)];
  if (resource.namespaced && namespace !== undefined && namespace !== "") {
    parts.push("namespaces", encodeURIComponent(namespace));
  }
  parts.push(resource.plural);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  if (sub !== undefined) parts.push(sub);
  return parts.join("/");
}

type Fields = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads an object that came from outside. Items of a list of built-in kinds do not say what they are: `resource` says it
 * for them. Throws where it has no name.
 */
export function readObject(value: unknown, resource: ApiResource): KubeObject {
  const metadata = isRecord(value) ? value["metadata"] : undefined;
  const name = isRecord(metadata) ? metadata["name"] : undefined;
  if (!isRecord(value) || typeof name !== "string" || name === "") {
    throw new Error(`not an object of kind ${resource.kind}: it has no metadata.name`);
  }
  return { ...value, apiVersion: apiVersionOf(resource), kind: resource.kind } as KubeObject &
    Fields;
}
