import {
  choice,
  entriesOf,
  NAMESPACE_PATH,
  onlyIn,
  type TemplateMap,
  text,
  value,
} from "../template.ts";

/** One mesh to a cluster, and the programs know their objects by name: so the names are fixed. */
export const REGISTRY = "hostmesh-registry";
export const DAEMON = "hostmesh-daemon";
export type Component = "registry" | "daemon" | "access" | "test";

/** Ports that the programs have by default; a test compares them with the settings. */
export const PORTS = {
  explicit: 4_140,
  mesh: 15_008,
  admin: 15_000,
  metrics: 15_020,
  ready: 15_021,
  registry: 15_010,
  registryTls: 15_012,
  registryMetrics: 15_014,
} as const;

/** What pods are selected by: it can never change. */
export function selectorLabels(component: Component): TemplateMap {
  return {
    "app.kubernetes.io/name": "hostmesh",
    "app.kubernetes.io/instance": "hostmesh",
    "app.kubernetes.io/component": component,
  };
}

/** The recommended labels of Kubernetes, and those of charts. */
export function labels(component: Component | null, version: string): TemplateMap {
  const { "app.kubernetes.io/component": own, ...common } = selectorLabels(component ?? "registry");
  return {
    ...common,
    ...(component === null || own === undefined ? {} : { "app.kubernetes.io/component": own }),
    "app.kubernetes.io/part-of": "hostmesh",
    "app.kubernetes.io/version": version,
    "app.kubernetes.io/managed-by": choice(onlyIn("helm"), "Helm", "hostmesh"),
    "helm.sh/chart": choice(onlyIn("helm"), `hostmesh-${version}`.replace("+", "_")),
    ...entriesOf("commonLabels"),
  };
}

/** Labels of a component's pods. */
export function podLabels(component: "registry" | "daemon"): TemplateMap {
  return {
    ...selectorLabels(component),
    "app.kubernetes.io/part-of": "hostmesh",
    ...entriesOf("commonLabels"),
    ...entriesOf(`${component}.podLabels`),
  };
}

/** `metadata` of an object in the mesh's namespace. */
export function metadata(name: string, component: Component, version: string): TemplateMap {
  return { name, namespace: value(NAMESPACE_PATH), labels: labels(component, version) };
}

/** The image, by its digest where there is one. */
export const image = choice(
  { path: "image.digest", is: "set" },
  text(value("image.repository"), "@", value("image.digest")),
  text(value("image.repository"), ":", value("image.tag")),
);
