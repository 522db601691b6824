import { until } from "../helpers/until.ts";
import type { KubeClient } from "./kube-client.ts";
import { type KubeObject, pathOfObject, pluralOf } from "./objects.ts";

/** Versions of a kind as its project serves them, the stored one first. */
interface Definition {
  readonly group: string;
  readonly versions: readonly string[];
  readonly kinds: readonly string[];
}

/** What people install of each project, as far as a mesh reads it. */
const PROJECTS: Readonly<Record<"istio" | "gateway" | "smi" | "linkerd", readonly Definition[]>> = {
  istio: [
    {
      ...{ group: "networking.istio.io", versions: ["v1", "v1beta1", "v1alpha3"] },
      kinds: ["VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry", "Sidecar"],
    },
    {
      ...{ group: "security.istio.io", versions: ["v1", "v1beta1"] },
      kinds: ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"],
    },
  ],
  gateway: [
    {
      ...{ group: "gateway.networking.k8s.io", versions: ["v1", "v1beta1"] },
      kinds: ["HTTPRoute", "GatewayClass", "Gateway"],
    },
    { group: "gateway.networking.k8s.io", versions: ["v1"], kinds: ["GRPCRoute"] },
    { group: "gateway.networking.k8s.io", versions: ["v1beta1"], kinds: ["ReferenceGrant"] },
  ],
  smi: [
    {
      ...{ group: "split.smi-spec.io", versions: ["v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"] },
      kinds: ["TrafficSplit"],
    },
    { group: "access.smi-spec.io", versions: ["v1alpha3", "v1alpha2"], kinds: ["TrafficTarget"] },
    { group: "specs.smi-spec.io", versions: ["v1alpha4"], kinds: ["HTTPRouteGroup", "TCPRoute"] },
  ],
  linkerd: [{ group: "linkerd.io", versions: ["v1alpha2"], kinds: ["ServiceProfile"] }],
};

/** The CustomResourceDefinitions of a project. They hold no schema: what a resource must be like is not tested with them. */
export function definitionsOf(project: keyof typeof PROJECTS): KubeObject[] {
  return PROJECTS[project].flatMap((definition) =>
    definition.kinds.map((kind) => definitionOf(kind, definition)),
  );
}

/** Installs the definitions and waits until the server serves them. */
export async function installDefinitions(
  client: KubeClient,
  ...projects: (keyof typeof PROJECTS)[]
): Promise<void> {
  await install(client, projects.flatMap(definitionsOf));
}

/** Installs a definition of each of these kinds. */
export async function installKinds(
  client: KubeClient,
  kinds: readonly { group: string; kind: string; versions: readonly string[] }[],
): Promise<void> {
  const definitions = kinds.map(({ kind, ...one }) => definitionOf(kind, one));
  await install(client, definitions);
}

async function install(client: KubeClient, definitions: readonly KubeObject[]): Promise<void> {
  await Promise.all(definitions.map((definition) => client.apply(definition)));
  await Promise.all(definitions.map((definition) => established(client, definition)));
}

/** Polled: a watch of each would cost the server more than a look at a few of them. */
async function established(client: KubeClient, definition: KubeObject): Promise<void> {
  const isServed = async () => {
    const now = await client.get(pathOfObject(definition));
    const conditions: { type: string; status: string }[] = now?.["status"]?.conditions ?? [];
    return conditions.some((one) => one.type === "Established" && one.status === "True");
  };
  await until(isServed, { what: `the definition of ${definition.metadata.name}` });
}

function definitionOf(kind: string, { group, versions }: Omit<Definition, "kinds">): KubeObject {
  const plural = pluralOf(kind);
  const scope = kind === "GatewayClass" ? "Cluster" : "Namespaced";
  const schema = {
    openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  };
  return {
    ...{ apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition" },
    metadata: {
      name: `${plural}.${group}`,
      // The server wants a word of approval for definitions in groups of its own project.
      annotations: { "api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements" },
    },
    spec: {
      ...{
        group,
        scope,
        names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      },
      versions: versions.map((name, at) => ({
        ...{ name, served: true, storage: at === 0, schema, subresources: { status: {} } },
      })),
    },
  };
}
