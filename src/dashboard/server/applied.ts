import type { PolicyScope } from "../../core/policy.ts";
import { bucketNames } from "../../registry/buckets.ts";
import type { Catalog } from "../../registry/catalog.ts";
import type { StoredRecord } from "../../registry/records.ts";
import type { MeshParts } from "./mesh-parts.ts";

interface Finding {
  /** Path of the field; empty: the whole resource. */
  readonly path: string;
  readonly message: string;
  /** What to do; null: the message says it. */
  readonly hint: string | null;
}

interface ResourceName {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** A resource as the page lists it. */
export interface ShownResource extends ResourceName {
  readonly revision: number;
  /** Counts the changes of its content. */
  readonly generation: number;
  /** When its present content was applied, ms since the epoch; null: that is not kept. */
  readonly appliedMs: number | null;
  /** `refused`: what was written last is not in force; what was before may be. */
  readonly status: "accepted" | "warning" | "refused";
  readonly findings: readonly Finding[];
  readonly document: unknown;
}

/** The warning of a resource that an earlier version took and this one does not (registry/plan-resource.ts). */
const OUTDATED = "not translated anew";

/** Groups of objects that a cluster itself is made of. There are very many, and a pod's text may hold secrets. */
const CLUSTER_GROUPS: ReadonlySet<string> = new Set(["", "core", "discovery.k8s.io"]);

/**
 * All resources, and those that a source brought but that were refused. What a cluster is made of (pods, slices) is there only where
 * something is wrong with it, and without its text.
 */
export function* shownResources({ catalog, source }: MeshParts): Iterable<ShownResource> {
  const refused = new Map([...(source?.refused() ?? [])].map(({ key, issues }) => [key, issues]));
  for (const record of catalog.all("resource")) {
    const issues = refused.get(record.key);
    refused.delete(record.key);
    const shown = show(catalog, record);
    const isOfCluster = CLUSTER_GROUPS.has(shown.group);
    if (isOfCluster && issues === undefined && shown.findings.length === 0) continue;
    yield {
      ...shown,
      ...(isOfCluster ? { document: null } : {}),
      ...(issues === undefined ? {} : { status: "refused", findings: issues.map(toFinding) }),
    };
  }
  for (const [key, issues] of refused) {
    const [group = "", kind = "", namespace = "", name = ""] = key.split("/");
    yield {
      ...{ group, kind, namespace, name, revision: 0, generation: 0, appliedMs: null },
      ...{ status: "refused", findings: issues.map(toFinding), document: null },
    };
  }
}

function show(catalog: Catalog, { key, revision, value }: StoredRecord<"resource">): ShownResource {
  const { group, kind, namespace, name, generation, warnings, content } = value;
  const newest = catalog.get("history", key)?.revisions.at(-1);
  const isOutdated = warnings.some(({ message }) => message.startsWith(OUTDATED));
  return {
    ...{ group, kind, namespace, name, revision, generation },
    appliedMs: newest?.atMs ?? value.createdMs,
    status: isOutdated ? "refused" : warnings.length > 0 ? "warning" : "accepted",
    findings: warnings.map(({ path, message }) => ({ path, message, hint: hintOf(message) })),
    document: content,
  };
}

function toFinding({ path, reason }: { readonly path: string; readonly reason: string }): Finding {
  return { path, message: reason, hint: hintOf(reason) ?? "mend the field and apply it again" };
}

/** Behind a semicolon or colon many messages say what to do instead. */
function hintOf(message: string): string | null {
  if (message.startsWith(OUTDATED))
    return "what was in force before stays: mend it and apply it again";
  const at = message.indexOf("; ");
  return at === -1 ? null : message.slice(at + 2);
}

/** What holds for one service: its routes, the resources that speak of it, and the policies of its workloads. */
export function appliedTo(catalog: Catalog, namespace: string, name: string): unknown {
  const key = `${namespace}/${name}`;
  const routes = catalog.all("route").filter(({ value }) => value.services.includes(key));
  const traffic = catalog.all("traffic").filter(({ value }) => value.service === key);
  const workloads = workloadsOf(catalog, key);
  const policies = catalog
    .all("policy")
    .filter(({ value }) => isFor(value.scope, { namespace, name }, workloads));
  const service = catalog.get("service", key);
  const makers = [...routes, ...traffic].map((record) => record.key.replace(/#\d+$/, ""));
  if (service?.resource !== undefined) makers.unshift(service.resource);
  return {
    service: service?.service ?? null,
    routes: routes.map((record) => ({ key: record.key, ...record.value })),
    resources: [...new Set(makers)].flatMap((maker) => summary(catalog, maker) ?? []),
    policies: policies.map((record) => ({
      ...nameIn(record.value.source),
      ...summary(catalog, record.key.replace(/#\d+$/, "")),
      policy: record.value,
    })),
  };
}

/** `Kind namespace/name`: of a policy that no resource brought by itself, such as one that an annotation asks for. */
function nameIn(source: string) {
  const [kind = "", namespace = "", name = ""] = source.split(/[ /]/);
  return { kind, namespace, name };
}

function summary(catalog: Catalog, key: string) {
  const record = catalog.record("resource", key);
  if (record === undefined) return null;
  const { document: _, ...shown } = show(catalog, record);
  return shown;
}

interface KnownWorkload {
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The workloads that a service's endpoints are, as far as the registry knows them. */
function workloadsOf(catalog: Catalog, service: string): KnownWorkload[] {
  const keys = [...catalog.members(bucketNames.endpointsOfService(service))].flatMap((id) => {
    const endpoint = catalog.get("endpoint", id)?.endpoint;
    if (endpoint === undefined) return [];
    const { host, address, workload } = endpoint;
    return workload ?? [...catalog.members(bucketNames.workloadAt(host, address))];
  });
  return [...new Set(keys)].flatMap((key) => {
    const found = catalog.get("workload", key);
    return found === undefined
      ? []
      : [{ serviceAccount: found.serviceAccount, labels: found.labels ?? {} }];
  });
}

function isFor(
  scope: PolicyScope,
  service: { readonly namespace: string; readonly name: string },
  workloads: readonly KnownWorkload[],
): boolean {
  if (scope.namespace !== null && scope.namespace !== service.namespace) return false;
  if (scope.service !== undefined && scope.service !== service.name) return false;
  if (scope.exceptServices?.includes(service.name) === true) return false;
  const labels = Object.entries(scope.labels);
  const account = scope.serviceAccount;
  if (labels.length === 0 && account === undefined) return true;
  return workloads.some(
    (workload) =>
      labels.every(([label, value]) => workload.labels[label] === value) &&
      (account === undefined || account === workload.serviceAccount),
  );
}

/** Is anything known of such a service? */
export function isKnown(catalog: Catalog, namespace: string, name: string): boolean {
  const key = `${namespace}/${name}`;
  return (
    catalog.get("service", key) !== undefined ||
    catalog.all("route").some(({ value }) => value.services.includes(key))
  );
}
