import { DataPath } from "../../daemon/data-path.ts";
import { openDataPathSockets } from "../../daemon/sockets.ts";
import { type ConfigInput, configSchema } from "../../src/config/schema.ts";
import { duplicateFd } from "../../src/proxy/downstream/libc.ts";
import { memoryLog } from "./fixtures.ts";

/** A data path of the host node-a with one worker and the explicit proxy, on free ports of loopback; not started yet. */
export function makeDataPath(more: ConfigInput, joinToken?: string) {
  const config = configSchema.parse({
    ...{ host: "node-a", mesh: { port: 0 }, ...more },
    ports: { explicit: 0, admin: 0, metrics: 0, ready: 0, metricsBind: "127.0.0.1" },
    timeouts: { warmUpMs: 0 },
  });
  const sockets = openDataPathSockets({
    ...{ workers: 1, mode: "explicit", ipv6: false, bind: "127.0.0.1", meshBind: "127.0.0.1" },
    ports: { ...config.ports, inbound: 0, mesh: 0 },
  });
  const { log, lines } = memoryLog();
  const path = new DataPath(
    {
      ...{ config, mode: "explicit", workers: 1, ownAddresses: ["127.0.0.1"], lingerMs: 0 },
      listeners: sockets.workers.map(({ explicit }, worker) => ({
        ...{ worker, entry: "explicit" as const, fd: duplicateFd(explicit) },
      })),
      ...{ explicitPort: sockets.ports.explicit, meshPort: sockets.ports.mesh, urgent: false },
      ownPorts: [sockets.ports.explicit],
      ...(joinToken === undefined ? {} : { joinToken }),
    },
    { log: Object.assign(log, { level: "info" as const }), tell: () => undefined },
  );
  return { path, sockets, lines };
}
