import type { Server } from "node:http";
import type { Log } from "../src/telemetry/log.ts";
import { controlServer, json, text } from "./control-server.ts";
import { BusyError } from "./explain/explain-queue.ts";
import type { LogControl } from "./logging/log-control.ts";
import { loggingRoute } from "./logging/logging-route.ts";
import type { TapHub } from "./tap/tap-hub.ts";
import { tapRoute } from "./tap/tap-route.ts";

export interface AdminDeps {
  /** Settings, snapshot, revision. `redacted`: without metadata, which may hold what is nobody's business. */
  readonly configDump: (redacted: boolean) => object;
  /** The `StatReport` of this moment. */
  readonly stats: () => object | Promise<object>;
  /** The `HostReport` of this moment. */
  readonly report: () => object;
  readonly ready: () => Promise<{ readonly ready: boolean; readonly reasons: readonly string[] }>;
  /** Asks for an orderly stop of the daemon. */
  readonly drain: () => void;
  /** Ends the capture of new connections for good; resolves when they go direct. */
  readonly release: () => Promise<void>;
  readonly logging: Pick<LogControl, "state" | "set">;
  readonly taps: TapHub;
  /** What would become of an imagined request. Throws a RangeError for one that cannot be imagined, a BusyError if too many ask. */
  readonly explain: (request: unknown) => Promise<object>;
  readonly log: Log;
}

/**
 * The admin API, for loopback only. `/healthz` says that the main thread lives, `/ready` that the data
 * path serves; `/drain` stops the daemon in order, `/release` only gives its capture back.
 */
export function adminServer(deps: AdminDeps): Server {
  const routes = {
    "/healthz": { GET: () => text(200, "ok\n") },
    "/ready": {
      GET: async () => {
        const readiness = await deps.ready();
        return json(readiness.ready ? 200 : 503, readiness);
      },
    },
    "/config_dump": {
      GET: (query: URLSearchParams) => json(200, deps.configDump(query.has("redacted"))),
    },
    "/stats": { GET: async () => json(200, await deps.stats()) },
    "/sight/report": { GET: () => json(200, deps.report()) },
    "/drain": {
      POST: () => {
        deps.drain();
        return json(202, { draining: true });
      },
    },
    "/release": {
      POST: async () => {
        await deps.release();
        return json(200, { capturing: false });
      },
    },
    "/sight/explain": {
      POST: async (_query: URLSearchParams, readBody: () => Promise<unknown>) => {
        try {
          return json(200, await deps.explain(await readBody()));
        } catch (error) {
          if (error instanceof RangeError) return json(400, { error: error.message });
          if (error instanceof BusyError) return json(429, { error: error.message });
          throw error;
        }
      },
    },
    "/logging": {
      GET: () => json(200, deps.logging.state),
      PUT: (query: URLSearchParams, readBody: () => Promise<unknown>) =>
        loggingRoute(deps.logging, query, readBody),
    },
    "/sight/tap": {
      POST: async (_: URLSearchParams, readBody: () => Promise<unknown>) =>
        tapRoute(deps.taps, await readBody()),
    },
  };
  return controlServer(routes, { callers: "loopback", log: deps.log });
}
