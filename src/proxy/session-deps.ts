import type { Config } from "../config/schema.ts";
import type { SessionDeps } from "../http/h2/session.ts";
import { DEFAULT_SESSION_LIMITS, type SessionLimits } from "../http/h2/settings.ts";
import type { Origin } from "./context.ts";
import type { Plane } from "./plane.ts";

/**
 * Streams that came to nothing on a connection of another host's daemon: it carries the requests of many clients, whose
 * deadlines may be short, and has proved who it is.
 */
const WASTED_BETWEEN_HOSTS = 100_000;

/** Heads and times as the configuration has them for HTTP/1. */
function commonLimits({ limits, timeouts }: Config): SessionLimits {
  const { headBytes, headerCount } = limits;
  const { headMs, streamIdleMs } = timeouts;
  return { ...DEFAULT_SESSION_LIMITS, headBytes, headerCount, headMs, streamIdleMs };
}

/** What clients that speak HTTP/2 may do. */
export function serverSessionDeps(plane: Plane, { entry }: Origin): SessionDeps {
  const { config, server, clock, deadlines, recorder } = plane;
  const limits = { ...commonLimits(config), idleMs: server.limits.idleMs };
  const isMesh = entry === "mesh";
  return {
    limits: isMesh ? { ...limits, wastedStreams: WASTED_BETWEEN_HOSTS } : limits,
    ...{ clock, deadlines },
    count: (what, code) => recorder.http2("downstream", what, code),
  };
}

/** What connections to endpoints go by; the pool ends those that are idle. */
export function clientSessionLimits(config: Config): SessionLimits {
  return { ...commonLimits(config), maxStreams: config.pool.streamsPerConnection, idleMs: 0 };
}
