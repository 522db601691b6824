import { DEFAULT_NAMESPACE, installObjects, readValues } from "./manifests.ts";
import { type InstallObject, plainYaml } from "./resolve.ts";
import { isTree } from "./values.ts";

/** A variant that is shipped: these values over the defaults. */
interface Overlay {
  readonly name: string;
  readonly why: string;
  readonly values: object;
}

export const OVERLAYS: readonly Overlay[] = [
  {
    name: "explicit-proxy",
    why: "No privilege at all: nothing is captured. Programs that honour http_proxy are given\nhttp_proxy=http://hostmesh-proxy.hostmesh-system:4140, which is always the daemon of their own node.",
    values: { captureMode: "explicit" },
  },
  {
    name: "restricted-registry",
    why: "Only the nodes reach the registry. Put their addresses into registry-network-policy.yaml first.",
    values: {
      registry: { networkPolicy: { enabled: true, from: [{ ipBlock: { cidr: "10.0.0.0/16" } }] } },
    },
  },
  {
    name: "monitoring",
    why: "For the Prometheus operator, whose custom resources have to be installed, and for a Grafana that takes its\ndashboards from ConfigMaps with the label grafana_dashboard.",
    values: {
      podMonitor: { enabled: true },
      prometheusRule: { enabled: true },
      grafanaDashboards: { enabled: true },
    },
  },
];

const HEAD =
  "# Made by npm run manifests from src/install: change it there, or in an overlay of yours.\n";
const KUSTOMIZATION = { apiVersion: "kustomize.config.k8s.io/v1beta1", kind: "Kustomization" };

/** The files below `manifests/` that kustomize reads, by their path there. */
export function kustomizeFiles(version: string): Map<string, string> {
  const files = new Map<string, string>();
  const base = objectsWith(version, {});
  const names = base.map(fileName);
  for (const [index, object] of base.entries()) files.set(`base/${names[index]}`, yamlFile(object));
  files.set("base/kustomization.yaml", yamlFile({ ...KUSTOMIZATION, resources: names }));
  for (const overlay of OVERLAYS) {
    for (const [path, text] of overlayFiles(overlay, base, objectsWith(version, overlay.values))) {
      files.set(`overlays/${overlay.name}/${path}`, text);
    }
  }
  return files;
}

function objectsWith(version: string, values: object): InstallObject[] {
  const read = readValues(version, values);
  return installObjects({ version, namespace: DEFAULT_NAMESPACE, values: read });
}

function fileName({ kind, metadata: { name } }: InstallObject): string {
  return `${name.replace(/^hostmesh-/, "")}-${kind.toLowerCase()}.yaml`;
}

function yamlFile(content: object): string {
  return HEAD + plainYaml(content);
}

const keyOf = ({ apiVersion, kind, metadata }: InstallObject) =>
  `${apiVersion}/${kind}/${metadata.name}`;

function overlayFiles(
  { why }: Overlay,
  base: readonly InstallObject[],
  wanted: readonly InstallObject[],
): Map<string, string> {
  const files = new Map<string, string>();
  const resources = ["../../base"];
  const patches: object[] = [];
  const before = new Map(base.map((object) => [keyOf(object), object]));
  for (const object of wanted) {
    const old = before.get(keyOf(object));
    before.delete(keyOf(object));
    if (old === undefined) {
      resources.push(fileName(object));
      files.set(fileName(object), yamlFile(object));
      continue;
    }
    const operations = jsonPatch(old, object);
    if (operations.length === 0) continue;
    const path = fileName(object).replace(/\.yaml$/, ".patch.yaml");
    files.set(path, yamlFile(operations));
    patches.push({ path, target: targetOf(object) });
  }
  const [left] = before.keys();
  if (left !== undefined) throw new Error(`an overlay cannot take ${left} away from the base`);
  const comment = why
    .split("\n")
    .map((line) => `# ${line}\n`)
    .join("");
  const content = { ...KUSTOMIZATION, resources, ...(patches.length === 0 ? {} : { patches }) };
  files.set("kustomization.yaml", HEAD + comment + plainYaml(content));
  return files;
}

function targetOf({ apiVersion, kind, metadata: { name } }: InstallObject): object {
  const [group, version] = apiVersion.includes("/")
    ? apiVersion.split("/")
    : [undefined, apiVersion];
  return { ...(group === undefined ? {} : { group }), version, kind, name };
}

type Operation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/** What makes one structure of another (RFC 6902). A list that has got longer or shorter is replaced. */
export function jsonPatch(before: unknown, after: unknown, path = ""): Operation[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return after.flatMap((item, index) => jsonPatch(before[index], item, `${path}/${index}`));
  }
  if (!isTree(before) || !isTree(after)) return [{ op: "replace", path, value: after }];
  const at = (key: string) => `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  const gone = Object.keys(before).filter((key) => !Object.hasOwn(after, key));
  return [
    ...gone.map((key): Operation => ({ op: "remove", path: at(key) })),
    ...Object.entries(after).flatMap(([key, part]) =>
      Object.hasOwn(before, key)
        ? jsonPatch(before[key], part, at(key))
        : [{ op: "add" as const, path: at(key), value: part }],
    ),
  ];
}
