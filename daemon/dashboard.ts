import type { Config } from "../src/config/schema.ts";
import { formatHostPort } from "../src/core/address.ts";
import { dashboardDanger } from "../src/dashboard/server/dashboard-danger.ts";
import type { MeshParts } from "../src/dashboard/server/mesh-parts.ts";
import type { MeshSight } from "../src/dashboard/server/mesh-sight.ts";
import type { RunningDashboard } from "../src/dashboard/server/start-dashboard.ts";
import type { Log } from "../src/registry/log.ts";
import type { RegistryInside } from "../src/registry/registry.ts";
import { StartError } from "./start-error.ts";

/** The registry that a dashboard is for. */
export interface DashboardRegistry {
  readonly inside: RegistryInside;
  readonly sight: MeshSight;
}

/** Throws StartError for settings with which strangers could change the mesh; before anything is started. */
export function refuseOpenDashboard({ dashboard }: Config): void {
  if (dashboard.enabled === "off") return;
  const danger = dashboardDanger(dashboard);
  if (danger === null) return;
  throw new StartError(danger.message, { isUsage: true, remedy: danger.remedy });
}

/**
 * Serves the registry's dashboard; null where it is switched off, or its port is taken: the mesh does not need it. Throws
 * StartError for files that cannot be read or are bad.
 */
export async function beginDashboard(
  { dashboard }: Config,
  registry: DashboardRegistry,
  log: Log,
): Promise<RunningDashboard | null> {
  if (dashboard.enabled === "off") return null;
  const { bind, port } = dashboard;
  const { startDashboard } = await import("../src/dashboard/server/start-dashboard.ts");
  try {
    const running = await startDashboard({
      ...{ ...dashboard, log, sight: registry.sight },
      mesh: meshParts(registry.inside),
    });
    log.info("the dashboard is served", { url: running.url });
    return running;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : "";
    if (code === "EADDRINUSE" || code === "EACCES" || code === "EADDRNOTAVAIL") {
      const remedy = "choose another with --set dashboard.port=PORT";
      const address = formatHostPort(bind, port);
      log.warn("no dashboard: its port cannot be had", { address, code, remedy });
      return null;
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StartError(`the dashboard was not started: ${reason}`, {
      ...{ cause, remedy: "mend the file, or switch it off with --set dashboard.enabled=off" },
    });
  }
}

function meshParts({ catalog, writer, settings, wall, source }: RegistryInside): MeshParts {
  const { place = "", running } = source ?? {};
  const refused = () => [...(running?.refused() ?? [])];
  return { catalog, writer, settings, wall, source: source && { place, refused } };
}
