import type { Config } from "../config/schema.ts";
import type { SessionDeps } from "../http/h2/session.ts";
import { DEFAULT_SESSION_LIMITS, type SessionLimits } from "../http/h2/settings.ts";
import type { Origin } from "./context.ts";
import type { Plane } from "./plane.ts";

/** Fields and bytes of a head beyond those of the client's: pseudo-fields, target, ids, forwarding. */
const ADDED_FIELDS = 24;
const ADDED_BYTES = 8_192;

/**
 * One connection does the work of hundreds: ztunnel allows 200 streams on each of several, and has windows of 16 MiB. It carries
 * what many clients do, and none of them may end it for the others: what comes to nothing there is limited where the
 * clients are, and here only far beyond that. A host that is gone is noticed as by ztunnel, because tunnels may be
 * silent for long.
 */
const BETWEEN_HOSTS = {
  meshRequests: true,
  maxStreams: 1_000,
  connectionWindowBytes: 4_194_304,
  unreadBytes: 67_108_864,
  shedsUnread: true,
  wastedStreams: 100_000,
  wastedPerSecond: 20_000,
  pingIntervalMs: 10_000,
  pingTimeoutMs: 20_000,
};

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
  const { wastedStreams, wastedPerSecond } = BETWEEN_HOSTS;
  return {
    limits: entry === "mesh" ? { ...limits, wastedStreams, wastedPerSecond } : limits,
    ...{ clock, deadlines },
    count: (what, code) => recorder.http2("downstream", what, code),
  };
}

function betweenHosts(limits: SessionLimits): SessionLimits {
  const headBytes = limits.headBytes + ADDED_BYTES;
  const headerCount = limits.headerCount + ADDED_FIELDS;
  return { ...limits, ...BETWEEN_HOSTS, headBytes, headerCount };
}

/** What another host's daemon may do, whose connection carries what hundreds did. */
export function meshSessionDeps(plane: Plane, origin: Origin): SessionDeps {
  const { limits, ...rest } = serverSessionDeps(plane, origin);
  return { ...rest, limits: betweenHosts(limits) };
}

/** What connections to other hosts go by; their link ends those that are idle. */
export function linkSessionLimits(config: Config): SessionLimits {
  return { ...betweenHosts(commonLimits(config)), meshRequests: false, idleMs: 0 };
}

/** What connections to endpoints go by; the pool ends those that are idle. */
export function clientSessionLimits(config: Config): SessionLimits {
  return { ...commonLimits(config), maxStreams: config.pool.streamsPerConnection, idleMs: 0 };
}
