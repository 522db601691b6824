import { wantedKinds } from "../../kubernetes/api/wanted-kinds.ts";
import { type Manifest, NAMESPACE_PATH, type TemplateMap, value } from "../template.ts";
import { DAEMON, labels, metadata, REGISTRY } from "./names.ts";

const RBAC = "rbac.authorization.k8s.io";
const READ = ["get", "list", "watch"];

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** Objects of the mesh's own namespace that the registry keeps, by name. */
export const OWN_OBJECTS = {
  lease: "hostmesh-registry",
  authority: "hostmesh-ca",
  trust: "hostmesh-trust",
} as const;

/** The groups whose resources get a status. */
const WITH_STATUS = [
  ...["gateway.networking.k8s.io", "gateway.networking.x-k8s.io"],
  ...["networking.istio.io", "security.istio.io"],
];
/** Routes of layer 4: their status says that they are not translated. */
const ONLY_STATUS: Readonly<Record<string, readonly string[]>> = {
  "gateway.networking.k8s.io": ["TLSRoute", "TCPRoute", "UDPRoute"],
};

/** How the definitions of these dialects spell the plural of a kind. */
export function pluralOf(kind: string): string {
  const name = kind.toLowerCase();
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`;
  return /(?:s|x|ch|sh)$/.test(name) ? `${name}es` : `${name}s`;
}

/** Kinds by group, in the order in which they are known. */
function wantedByGroup(): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { group, kind } of wantedKinds()) {
    groups.set(group, [...(groups.get(group) ?? []), pluralOf(kind)]);
  }
  for (const [group, kinds] of Object.entries(ONLY_STATUS)) {
    groups.set(group, [...(groups.get(group) ?? []), ...kinds.map(pluralOf)]);
  }
  return groups;
}

/** What the registry does in the whole cluster. */
function clusterRules(): Rule[] {
  const groups = [...wantedByGroup()];
  return [
    {
      apiGroups: [""],
      resources: ["services", "pods", "nodes", "namespaces"],
      verbs: READ,
    },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: READ },
    { apiGroups: ["apiextensions.k8s.io"], resources: ["customresourcedefinitions"], verbs: READ },
    ...groups.map(([group, resources]) => ({ apiGroups: [group], resources, verbs: READ })),
    ...groups
      .filter(([group]) => WITH_STATUS.includes(group))
      .map(([group, resources]) => ({
        apiGroups: [group],
        resources: resources.map((name) => `${name}/status`),
        verbs: ["patch"],
      })),
    // Of resources that are refused, in their namespace. One that is there already is read, for its count.
    { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["get", "create", "patch"] },
    // Daemons prove who they are by a token of their service account.
    { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
  ];
}

/** What the registry does in the mesh's own namespace. A name cannot be asked for where an object is made. */
function ownRules(): Rule[] {
  const { lease, authority, trust } = OWN_OBJECTS;
  const kinds = [
    { apiGroups: ["coordination.k8s.io"], resources: ["leases"], name: lease, verbs: ["get"] },
    // Replicas follow the authority by its name; others' secrets they do not see.
    { apiGroups: [""], resources: ["secrets"], name: authority, verbs: READ },
    { apiGroups: [""], resources: ["configmaps"], name: trust, verbs: ["get"] },
  ];
  return kinds.flatMap(({ name, verbs, ...kind }) => [
    { ...kind, resourceNames: [name], verbs: [...verbs, "update"] },
    { ...kind, verbs: ["create"] },
  ]);
}

/** What a person needs who operates the mesh. The ports for operators are on loopback: they are forwarded. */
const OPERATOR_RULES: readonly Rule[] = [
  { apiGroups: [""], resources: ["pods", "services"], verbs: READ },
  { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
  { apiGroups: [""], resources: ["pods/portforward"], verbs: ["create"] },
  { apiGroups: ["apps"], resources: ["daemonsets", "deployments"], verbs: READ },
];

const rulesOf = (rules: readonly Rule[]) => rules.map((rule): TemplateMap => ({ ...rule }));
const registryAccount = {
  kind: "ServiceAccount",
  name: REGISTRY,
  namespace: value(NAMESPACE_PATH),
};

/** Service accounts and what they may do: the daemons' account may do nothing. */
export function accessManifests(version: string): Manifest[] {
  const account = (name: string, component: "registry" | "daemon"): Manifest => ({
    file: "service-accounts",
    object: {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: metadata(name, component, version),
      // The pods that need a token name it, with the audience and the lifetime that it should have.
      automountServiceAccountToken: false,
    },
  });
  const rule = (kind: string, name: string, rules: readonly Rule[]): Manifest => ({
    file: "access",
    object: {
      apiVersion: `${RBAC}/v1`,
      kind,
      metadata:
        kind === "ClusterRole"
          ? { name, labels: labels("access", version) }
          : metadata(name, "access", version),
      rules: rulesOf(rules),
    },
  });
  const binding = (kind: string, name: string, subject: TemplateMap): Manifest => ({
    file: "access",
    object: {
      apiVersion: `${RBAC}/v1`,
      kind,
      metadata:
        kind === "ClusterRoleBinding"
          ? { name, labels: labels("access", version) }
          : metadata(name, "access", version),
      roleRef: { apiGroup: RBAC, kind: kind.replace("Binding", ""), name },
      subjects: [subject],
    },
  });
  return [
    account(REGISTRY, "registry"),
    account(DAEMON, "daemon"),
    rule("ClusterRole", REGISTRY, clusterRules()),
    binding("ClusterRoleBinding", REGISTRY, registryAccount),
    rule("Role", REGISTRY, ownRules()),
    binding("RoleBinding", REGISTRY, registryAccount),
    rule("Role", "hostmesh-operator", OPERATOR_RULES),
    binding("RoleBinding", "hostmesh-operator", {
      ...{ apiGroup: RBAC, kind: "Group", name: value("operators.group") },
    }),
  ];
}
