import * as z from "zod";
import type { ClusterAnswer, ClusterReader } from "./cluster-reader.ts";

/** What was seen of a cluster. Null: the API server did not show it to this account. */
export interface ClusterFacts {
  /** As `v1.33.2`. */
  readonly version: string | null;
  /** API groups with the versions that are served. */
  readonly groups: ReadonlyMap<string, readonly string[]> | null;
  readonly nodes: readonly { name: string; kernel: string; os: string }[] | null;
  /** `mode` of kube-proxy's configuration; empty: it is not set, which is iptables. */
  readonly proxyMode: string | null;
  /** Names of all DaemonSets, `namespace/name`. */
  readonly daemonSets: readonly string[] | null;
  readonly ciliumConfig: ReadonlyMap<string, string> | null;
  /** Names of mutating webhooks. */
  readonly webhooks: readonly string[] | null;
  readonly namespaces: readonly { name: string; labels: Readonly<Record<string, string>> }[] | null;
  /** Priority classes for which a quota of the mesh's namespace has room; null also where there is no such namespace. */
  readonly quotaClasses: readonly string[] | null;
  /** What an installation creates and this account may not. */
  readonly forbidden: readonly string[] | null;
}

const meta = z.looseObject({
  name: z.string(),
  namespace: z.string().default(""),
  labels: z.record(z.string(), z.string()).default({}),
});
const named = z.looseObject({ metadata: meta });
const listOf = <T extends z.ZodType>(item: T) =>
  z.looseObject({ items: z.array(item).default([]) });
const node = named.extend({
  status: z.looseObject({
    nodeInfo: z.looseObject({ kernelVersion: z.string(), operatingSystem: z.string() }),
  }),
});
const configMap = z.looseObject({ data: z.record(z.string(), z.string()).default({}) });
const groupList = z.looseObject({
  groups: z.array(
    z.looseObject({ name: z.string(), versions: z.array(z.looseObject({ version: z.string() })) }),
  ),
});
const quota = z.looseObject({
  spec: z
    .looseObject({
      scopeSelector: z
        .looseObject({
          matchExpressions: z
            .array(z.looseObject({ values: z.array(z.string()).default([]) }))
            .default([]),
        })
        .optional(),
    })
    .default({}),
});
const review = z.looseObject({ status: z.looseObject({ allowed: z.boolean() }) });

/** What `hostmesh install` prints, by group and resource; empty group: core. */
const CREATED: readonly (readonly [group: string, resource: string])[] = [
  ["", "namespaces"],
  ["", "serviceaccounts"],
  ["", "services"],
  ["", "configmaps"],
  ["apps", "daemonsets"],
  ["apps", "deployments"],
  ["rbac.authorization.k8s.io", "clusterroles"],
  ["rbac.authorization.k8s.io", "clusterrolebindings"],
];

/** Asks for everything that is looked at. @throws Error where the API server does not answer at all. */
export async function collectCluster(api: ClusterReader, namespace: string): Promise<ClusterFacts> {
  const version = read(await api.get("/version"), z.looseObject({ gitVersion: z.string() }));
  const groups = read(await api.get("/apis"), groupList)?.groups;
  const daemonSets = names(await api.get("/apis/apps/v1/daemonsets"));
  const webhooks = names(
    await api.get("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"),
  );
  const namespaces = read(await api.get("/api/v1/namespaces"), listOf(named))?.items;
  const quotas = read(
    await api.get(`/api/v1/namespaces/${namespace}/resourcequotas`),
    listOf(quota),
  );
  const hasNamespace = namespaces?.some(({ metadata }) => metadata.name === namespace) ?? false;
  return {
    version: version?.gitVersion ?? null,
    groups:
      groups === undefined
        ? null
        : new Map(groups.map((one) => [one.name, one.versions.map((each) => each.version)])),
    nodes: await nodesOf(api),
    proxyMode: await proxyModeOf(api),
    daemonSets,
    ciliumConfig: await ciliumConfigOf(api, daemonSets ?? []),
    webhooks,
    namespaces: namespaces?.map(({ metadata: { name, labels } }) => ({ name, labels })) ?? null,
    quotaClasses: hasNamespace && quotas !== null ? quotas.items.flatMap(classesOf) : null,
    forbidden: await forbiddenTo(api),
  };
}

async function nodesOf(api: ClusterReader): Promise<ClusterFacts["nodes"]> {
  const nodes = read(await api.get("/api/v1/nodes"), listOf(node));
  if (nodes === null) return null;
  return nodes.items.map(({ metadata, status: { nodeInfo } }) => ({
    name: metadata.name,
    kernel: nodeInfo.kernelVersion,
    os: nodeInfo.operatingSystem,
  }));
}

/** kubeadm and many others keep kube-proxy's configuration there. */
async function proxyModeOf(api: ClusterReader): Promise<string | null> {
  const map = read(
    await api.get("/api/v1/namespaces/kube-system/configmaps/kube-proxy"),
    configMap,
  );
  const text = map?.data["config.conf"] ?? map?.data["config"];
  if (text === undefined) return null;
  return /^mode:\s*["']?([A-Za-z]*)["']?\s*$/m.exec(text)?.[1] ?? "";
}

async function ciliumConfigOf(
  api: ClusterReader,
  daemonSets: readonly string[],
): Promise<ReadonlyMap<string, string> | null> {
  const namespace = daemonSets.find((name) => name.endsWith("/cilium"))?.split("/")[0];
  if (namespace === undefined) return null;
  const answer = await api.get(`/api/v1/namespaces/${namespace}/configmaps/cilium-config`);
  const map = read(answer, configMap);
  return map === null ? null : new Map(Object.entries(map.data));
}

function classesOf({ spec }: z.infer<typeof quota>): string[] {
  return spec.scopeSelector?.matchExpressions.flatMap(({ values }) => values) ?? [];
}

/** Asks whether this account may (SelfSubjectAccessReview); nothing is stored by that. */
async function forbiddenTo(api: ClusterReader): Promise<string[] | null> {
  const forbidden: string[] = [];
  for (const [group, resource] of CREATED) {
    const resourceAttributes = { verb: "create", group, resource };
    const answer = await api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
      ...{ apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview" },
      spec: { resourceAttributes },
    });
    const judged = read(answer, review);
    if (judged === null) return null;
    if (!judged.status.allowed) forbidden.push(resource);
  }
  return forbidden;
}

function names(answer: ClusterAnswer): string[] | null {
  const list = read(answer, listOf(named));
  return (
    list?.items.map(({ metadata: { name, namespace } }) =>
      namespace === "" ? name : `${namespace}/${name}`,
    ) ?? null
  );
}

function read<T extends z.ZodType>({ status, body }: ClusterAnswer, schema: T): z.infer<T> | null {
  if (status >= 400) return null;
  const parsed = schema.safeParse(body);
  return parsed.success ? parsed.data : null;
}
