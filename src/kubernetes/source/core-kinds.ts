import type { ApiResource } from "../api/objects.ts";

const core = (kind: string, plural: string, namespaced: boolean): ApiResource => ({
  ...{ group: "", version: "v1", kind, plural, namespaced },
});

/** What every cluster has, in the order in which they build on each other. Endpoints are left to those who still read them. */
export const CORE_KINDS: readonly ApiResource[] = [
  core("Namespace", "namespaces", false),
  core("Node", "nodes", false),
  core("Pod", "pods", true),
  core("Service", "services", true),
  {
    ...{ group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice" },
    ...{ plural: "endpointslices", namespaced: true },
  },
];
