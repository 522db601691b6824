import { RegistryError } from "../../registry/registry-error.ts";
import { appliedTo, isKnown, shownResources } from "./applied.ts";
import type { DashboardRoute } from "./dashboard-route.ts";
import type { MeshParts } from "./mesh-parts.ts";
import type { MeshSight } from "./mesh-sight.ts";

/** How long one daemon is waited for. */
const PATIENCE_MS = 2_000;

/** What the mesh does, and by which resources. */
export function meshRoutes(parts: MeshParts, sight: MeshSight): DashboardRoute[] {
  const { catalog } = parts;
  return [
    {
      method: "GET",
      pattern: "/api/report",
      needs: "viewer",
      handle: async () => ({ body: await sight.report() }),
    },
    {
      method: "GET",
      pattern: "/api/config",
      needs: "viewer",
      handle: () => ({ list: { name: "resources", items: shownResources(parts) } }),
    },
    {
      method: "GET",
      pattern: "/api/services/:namespace/:name",
      needs: "viewer",
      handle({ params: { namespace = "", name = "" } }) {
        if (!isKnown(catalog, namespace, name)) {
          throw new RegistryError(404, `there is no service ${namespace}/${name}`);
        }
        return { body: appliedTo(catalog, namespace, name) };
      },
    },
    {
      method: "GET",
      pattern: "/api/hosts/:host",
      needs: "viewer",
      async handle({ params: { host = "" } }) {
        const summary = (await sight.report()).hosts.find((each) => each.host === host);
        if (summary === undefined) throw new RegistryError(404, `there is no host ${host}`);
        if (summary.state === "gone" || summary.state === "old") {
          return { body: { summary, report: null, reason: `the daemon is ${summary.state}` } };
        }
        try {
          const report = await sight.ask(host, { kind: "report" }, PATIENCE_MS);
          return { body: { summary, report } };
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          return { body: { summary, report: null, reason } };
        }
      },
    },
  ];
}
