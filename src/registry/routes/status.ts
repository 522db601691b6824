import type { RegistryParts } from "../parts.ts";
import type { Route } from "../route.ts";

/** What the registry holds and who follows it, and whether it is ready to be followed. */
export function statusRoutes(parts: RegistryParts): Route[] {
  const { catalog } = parts;
  return [
    {
      method: "GET",
      pattern: "/v1/mesh/status",
      allow: ["host"],
      handle: () => ({
        body: {
          epoch: parts.epoch,
          revision: catalog.revision(),
          digest: catalog.digest(),
          host: parts.host,
          services: catalog.count("service"),
          endpoints: catalog.count("endpoint"),
          workloads: catalog.count("workload"),
          checks: catalog.count("check"),
          resources: catalog.count("resource"),
          policies: catalog.count("policy"),
          routes: catalog.count("route"),
          trafficPolicies: catalog.count("traffic"),
          scopes: catalog.count("scope"),
          blockingQueries: parts.waiters.waiting(),
          store: parts.storeStatus(),
          identity: parts.identity?.status() ?? null,
          source: parts.source?.running.status() ?? null,
          daemons: parts.daemons(),
        },
      }),
    },
    {
      method: "GET",
      pattern: "/v1/mesh/ready",
      allow: ["host", "anonymous"],
      handle: ({ caller }) => {
        const source = parts.source?.running;
        // Whoever proves nothing learns that there is a registry, which it does anyway.
        if (caller.role === "anonymous") return { body: { ready: true } };
        const synced = source?.isSynced() ?? true;
        const position = source?.position() ?? {};
        return { body: { ready: true, revision: catalog.revision(), synced, position } };
      },
    },
  ];
}
