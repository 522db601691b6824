import { isRecord, type KubeObject } from "./objects.ts";

/** What a CustomResourceDefinition (apiextensions.k8s.io/v1) says of its kind. */
export interface InstalledVersions {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly served: readonly string[];
}

/** Null for what is no definition, and while the API server does not serve its kind yet. */
export function readDefinition(definition: KubeObject): InstalledVersions | null {
  const { spec, status } = definition;
  if (!isRecord(spec) || !isEstablished(status)) return null;
  const { group, names, scope, versions } = spec;
  const { kind, plural } = isRecord(names) ? names : {};
  if (typeof group !== "string" || typeof kind !== "string" || typeof plural !== "string") {
    return null;
  }
  const served = listOf(versions).filter((version) => version["served"] === true);
  return {
    ...{ group, kind, plural, namespaced: scope === "Namespaced" },
    served: served.map(({ name }) => String(name)),
  };
}

function isEstablished(status: unknown): boolean {
  return listOf(isRecord(status) ? status["conditions"] : undefined).some(
    ({ type, status: value }) => type === "Established" && value === "True",
  );
}

function listOf(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
