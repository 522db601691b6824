import { join } from "node:path";
import { formatHostPort } from "../../core/address.ts";
import { type Clock, processClock } from "../../core/clock.ts";
import type { GuardedServer, ServerTls } from "../../registry/guarded-server.ts";
import type { Log } from "../../registry/log.ts";
import { processTimers, type Timers } from "../../registry/timers.ts";
import { Access } from "./access.ts";
import { dashboardDanger } from "./dashboard-danger.ts";
import type { DashboardRoute } from "./dashboard-route.ts";
import { FollowedFiles } from "./followed-files.ts";
import { listenDashboard } from "./listen-dashboard.ts";
import { LiveHub } from "./live-hub.ts";
import { loginRoutes } from "./login-routes.ts";
import type { MeshParts } from "./mesh-parts.ts";
import { meshRoutes } from "./mesh-routes.ts";
import type { MeshSight } from "./mesh-sight.ts";
import { type RefusalReason, Refusals } from "./refusals.ts";
import { splitRoutes } from "./split-routes.ts";
import { loadStaticFiles } from "./static-files.ts";
import { parseUsers, type User } from "./users.ts";

/** What Vite made of src/dashboard/page. */
const BUILT = join(import.meta.dirname, "../built");

export interface DashboardOptions {
  readonly bind: string;
  /** 0: any free port. */
  readonly port: number;
  /** Empty: nobody needs to log in, and `bind` is on loopback. */
  readonly usersFile: string;
  /** Both, or both empty: plain, and `bind` is on loopback. */
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
  readonly sessionIdleMs: number;
  readonly sessionMaxMs: number;
  readonly mesh: MeshParts;
  readonly sight: MeshSight;
  readonly log: Log;
  /** Folder of the page; absent: the built one. */
  readonly pageFolder?: string;
  readonly clock?: Clock;
  readonly timers?: Timers;
  /** Limits, for tests. */
  readonly headTimeoutMs?: number;
  readonly requestTimeoutMs?: number;
  readonly maxBufferedBytes?: number;
  readonly pingMs?: number;
}

export interface RunningDashboard {
  readonly url: string;
  readonly port: number;
  /** Logins, open pages, and what was refused since the start. */
  figures(): DashboardFigures;
  close(): Promise<void>;
}

export interface DashboardFigures {
  readonly sessions: number;
  readonly pages: number;
  readonly refusals: ReadonlyMap<RefusalReason, number>;
}

/**
 * Serves the dashboard. Rejects where a file cannot be read or is bad, where it would be a danger, and where the port
 * cannot be had; then nothing is left open.
 */
export async function startDashboard(options: DashboardOptions): Promise<RunningDashboard> {
  const danger = dashboardDanger(options);
  if (danger !== null) throw new Error(`${danger.message}: ${danger.remedy}`);
  const { clock = processClock, timers = processTimers, log, sight } = options;
  const closing: (() => void)[] = [];
  try {
    const users = await followUsers(options, timers, closing);
    const tls = await followTls(options, timers, closing);
    const isSecure = tls !== null;
    const { sessionIdleMs: idleMs, sessionMaxMs: maxMs } = options;
    const refusals = new Refusals(log, clock);
    const limits = { idleMs, maxMs };
    const access = new Access({ users, isSecure, limits, clock, refusals });
    const live = new LiveHub({
      ...{ access, sight, refusals, clock, timers, log },
      ...given(options, ["maxBufferedBytes", "pingMs"]),
    });
    closing.push(() => live.close());
    const figures = (): DashboardFigures => {
      return { sessions: access.sessions, pages: live.size, refusals: refusals.counts() };
    };
    const server = await listenDashboard({
      ...{ bind: options.bind, port: options.port, access, log },
      ...(tls === null ? {} : { tls: tls.present() }),
      routes: [
        ...loginRoutes({ access, log, isSecure, sessionMaxMs: maxMs }),
        ...meshRoutes(options.mesh, sight),
        ...splitRoutes(options.mesh, log),
        statusRoute(figures),
      ],
      files: await loadStaticFiles(options.pageFolder ?? BUILT),
      upgrade: (request, socket, head) => live.upgrade(request, socket, head),
      ...given(options, ["headTimeoutMs", "requestTimeoutMs"]),
    });
    tls?.keep(server);
    const scheme = isSecure ? "https" : "http";
    return {
      url: `${scheme}://${formatHostPort(reachable(options.bind), server.port)}/`,
      port: server.port,
      figures,
      async close() {
        for (const close of closing) close();
        await server.close();
      },
    };
  } catch (error) {
    for (const close of closing) close();
    throw error;
  }
}

/** What the dashboard does itself: whoever answers for it wants to see who tries to get in. */
function statusRoute(figures: () => DashboardFigures): DashboardRoute {
  return {
    method: "GET",
    pattern: "/api/status",
    needs: "editor",
    handle() {
      const { refusals, ...counts } = figures();
      return { body: { ...counts, refusals: Object.fromEntries(refusals) } };
    },
  };
}

async function followUsers(
  { usersFile, log }: DashboardOptions,
  timers: Timers,
  closing: (() => void)[],
): Promise<() => ReadonlyMap<string, User> | null> {
  if (usersFile === "") return () => null;
  let users: ReadonlyMap<string, User> = new Map();
  const files = new FollowedFiles([usersFile], {
    timers,
    onChange: ([text = ""]) => {
      users = parseUsers(text);
      log.debug("the dashboard's users are read", { users: users.size });
    },
    // Those that were known stay: a half-written file must not lock everybody out, nor let anybody in.
    onError: (error) => log.error("the dashboard's users file is bad", { usersFile, error }),
  });
  closing.push(() => files.close());
  await named(files.start(), usersFile);
  return () => users;
}

async function followTls(
  { tlsCertFile, tlsKeyFile, log }: DashboardOptions,
  timers: Timers,
  closing: (() => void)[],
): Promise<{ present(): ServerTls; keep(server: GuardedServer): void } | null> {
  if (tlsCertFile === "") return null;
  let present: ServerTls = { cert: "", key: "" };
  let server: GuardedServer | null = null;
  const files = new FollowedFiles([tlsCertFile, tlsKeyFile], {
    timers,
    onChange: ([cert = "", key = ""]) => {
      server?.setTls({ cert, key });
      present = { cert, key };
    },
    onError: (error) => log.error("the dashboard's certificate is bad", { tlsCertFile, error }),
  });
  closing.push(() => files.close());
  await named(files.start(), tlsCertFile);
  return {
    present: () => present,
    keep: (running) => {
      server = running;
    },
  };
}

async function named(reading: Promise<void>, file: string): Promise<void> {
  try {
    await reading;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${file}: ${reason}`, { cause });
  }
}

/** Only those that are given, so that the others keep their defaults. */
function given<K extends keyof DashboardOptions>(options: DashboardOptions, names: readonly K[]) {
  const entries = names.filter((name) => options[name] !== undefined);
  return Object.fromEntries(entries.map((name) => [name, options[name]])) as Partial<
    Pick<DashboardOptions, K>
  >;
}

/** From this host: an unspecified address is no place to connect to. */
function reachable(bind: string): string {
  if (bind === "0.0.0.0") return "127.0.0.1";
  return bind === "::" ? "::1" : bind;
}
