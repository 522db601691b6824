import type { Config } from "../src/config/schema.ts";
import { wantsColor } from "../src/core/terminal.ts";
import type { RunningRegistry } from "../src/registry/registry.ts";
import { startRegistry } from "../src/registry/registry.ts";
import type { Log } from "../src/telemetry/log.ts";
import { createLog, describeError } from "../src/telemetry/log.ts";
import { abandonAtForce } from "./abandon-at-force.ts";
import { refuseUnprivileged } from "./capture-mode.ts";
import { beginDashboard, refuseOpenDashboard } from "./dashboard.ts";
import { DeclaredFiles } from "./declared-files.ts";
import { claimDemoFolder, refuseSecondDemo, sweepDemoFolder } from "./demo/claim-folder.ts";
import { removeDemoFolder } from "./demo/data-folder.ts";
import { demoFrame, demoLines } from "./demo/demo-frame.ts";
import { liveTable } from "./demo/live-table.ts";
import type { DemoOptions } from "./demo/start-demo.ts";
import { clearFormerDemo, startDemo } from "./demo/start-demo.ts";
import { fetchStats } from "./demo/stat-view.ts";
import { explainRegistryError } from "./explain-registry-error.ts";
import { readDeclarations } from "./read-declarations.ts";
import { registryEtcd } from "./registry-etcd.ts";
import { registryIdentity } from "./registry-identity.ts";
import { beginRegistryMetrics } from "./registry-metrics.ts";
import type { Shutdown } from "./shutdown-signals.ts";
import { shutdownSignals } from "./shutdown-signals.ts";
import type { RunningDaemon } from "./start-daemon.ts";
import { startDaemon } from "./start-daemon.ts";
import { StartError } from "./start-error.ts";

export interface UpOptions {
  readonly config: Config;
  /** Files that declare services, endpoints and workloads. */
  readonly files: readonly string[];
  readonly demo: boolean;
  /**
   * Folder of the registry's store and of the snapshot, as the user named it. null: that of the settings, and
   * for the demo one of its own that is removed at the end.
   */
  readonly dataDir: string | null;
  /** Takes one line of the log, without its end. */
  readonly log: (line: string) => void;
}

/** What has been started, in order; undone in reverse. */
type Undo = { readonly what: string; readonly run: () => Promise<void> };

/** From making its own join token to using it. */
const JOIN_MS = 600_000;
/** What an undoing that is forced to end may still take. */
const FORCE_GRACE_MS = 10_000;

/**
 * `hostmesh up`: registry and guardian in this process, the data path in a child. Runs until a signal or
 * `POST /drain`. Resolves with the exit code, 0 after an orderly stop. Rejects with what did not start, after
 * everything that did has ended.
 */
export async function runUp(options: UpOptions): Promise<number> {
  const { logLevel, logFormat } = options.config.telemetry;
  const write = (line: string) => options.log(line.trimEnd());
  const log = createLog({ level: logLevel, format: logFormat, write });
  const shutdown = shutdownSignals(log);
  const undo: Undo[] = [];
  try {
    await run(options, log, shutdown, undo);
    return await undoAll(undo, log, shutdown);
  } catch (error) {
    const code = await undoAll(undo, log, shutdown);
    if (!shutdown.stop.aborted) throw error;
    return code;
  } finally {
    shutdown.dispose();
  }
}

async function undoAll(undo: Undo[], log: Log, { force }: Shutdown): Promise<number> {
  let code = 0;
  for (const { what, run: undoIt } of undo.splice(0).reverse()) {
    try {
      await abandonAtForce(undoIt(), force, FORCE_GRACE_MS);
    } catch (error) {
      log.error(`could not stop ${what}`, { reason: describeError(error) });
      code = 1;
    }
  }
  return code;
}

async function run(options: UpOptions, log: Log, shutdown: Shutdown, undo: Undo[]): Promise<void> {
  const { files } = options;
  const { stop, force } = shutdown;
  // Nothing has been started yet, so the first signal may end this at once.
  await abandonAtForce(lookAhead(options), stop, 0);
  const dataDir = await takeDataDir(options, log, undo);
  const registry = await abandonAtForce(beginRegistry({ ...options, dataDir }, log), force, 0);
  undo.push({ what: "the registry", run: () => registry.close() });
  const dashboard = await abandonAtForce(beginDashboard(options.config, registry, log), force, 0);
  if (dashboard !== null) undo.push({ what: "the dashboard", run: () => dashboard.close() });
  const metrics = await beginRegistryMetrics(options.config, registry, dashboard, log);
  if (metrics !== null) undo.push({ what: "the registry's metrics", run: () => metrics.close() });
  const urls = [registry.url];
  const tlsUrl = registry.tlsUrl ?? "";
  const settings = { ...options.config.registry, port: registry.port, urls, tlsUrl };
  const config = { ...options.config, dataDir, registry: settings };

  const { host } = config;
  const joinToken = tlsUrl === "" ? null : await registry.issueJoinToken(host, JOIN_MS);
  const daemon = await beginDaemon(config, log, shutdown, joinToken);
  undo.push({ what: "the daemon", run: () => daemon.stop() });
  const declared = new DeclaredFiles({ files, registryUrl: registry.url, host, dataDir, log });
  undo.push({ what: "watching files", run: () => declared.close() });
  await abandonAtForce(declared.start(), force, 0);

  const ended = new AbortController();
  const end = AbortSignal.any([stop, ended.signal]);
  void daemon.done.then(() => ended.abort());
  const ports = { ...config.ports, explicit: daemon.ports.explicit, admin: daemon.ports.admin };
  const demoOptions: DemoOptions = {
    config: { ...config, ports },
    registryUrl: registry.url,
    log: (line) => log.info(line),
    privileged: daemon.mode !== "explicit",
    onBegin: (stopDemo) => undo.push({ what: "the demo", run: stopDemo }),
  };
  const served = { registry: registry.url, registryMetrics: metrics?.port ?? null };
  log.info("ready", { mode: daemon.mode, ...served, ...daemon.ports });
  if (dashboard !== null) options.log(`dashboard: ${dashboard.url}`);
  const page = { dashboardUrl: dashboard?.url ?? null };
  if (options.demo) await runDemo(demoOptions, { ...options, ...page }, end, force);
  else {
    await abandonAtForce(clearDemo(demoOptions, log), force, 0);
    options.log(`try: curl -x http://127.0.0.1:${daemon.ports.explicit} http://SERVICE/`);
  }
  await aborted(end);
}

/** Finds what would fail for certain, before anything is started. */
async function lookAhead({ config, files, demo, dataDir }: UpOptions): Promise<void> {
  refuseUnprivileged(config);
  refuseOpenDashboard(config);
  if (config.user !== "") {
    throw new StartError("user is for a daemon of its own: here the registry shares its folder", {
      isUsage: true,
      remedy: "leave it out, or run hostmesh registry and hostmesh daemon",
    });
  }
  if (config.registry.source !== "store") {
    const remedy = "use `hostmesh registry` for it, and `hostmesh daemon` beside it";
    throw new StartError(
      `hostmesh up keeps a registry of its own: it does not read ${config.registry.source}`,
      {
        ...{ isUsage: true, remedy },
      },
    );
  }
  try {
    for (const file of files) await readDeclarations(file, config.host);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const remedy = "docs/cli.md shows what a file may hold; nothing was started";
    throw new StartError(message, { isUsage: true, remedy, cause });
  }
  if (demo) await refuseSecondDemo(dataDir);
}

/** The demo without a folder of its user's choice gets one of its own, which goes with it. */
async function takeDataDir(options: UpOptions, log: Log, undo: Undo[]): Promise<string> {
  const { config, dataDir, demo } = options;
  const say = (line: string) => log.info(line);
  if (dataDir !== null) return dataDir;
  if (!demo) return config.dataDir;
  const folder = await claimDemoFolder({ log: say });
  undo.push({ what: "the demo's folder", run: () => removeDemoFolder(folder) });
  return folder;
}

async function beginRegistry(
  { config, dataDir }: { readonly config: Config; readonly dataDir: string },
  log: Log,
): Promise<RunningRegistry> {
  const { bind, port, tlsPort, virtualCidr4, virtualCidr6, pingMs, historyPerResource } =
    config.registry;
  const { policy, slowStartMs } = config.balance;
  const identity = registryIdentity(config);
  const etcd = registryEtcd(config);
  try {
    return await startRegistry({
      ...{ dataDir, bind, port, virtualCidr4, virtualCidr6, pingMs, log },
      host: config.host,
      // What is registered here without an address runs on this very machine.
      nodeAddress: "127.0.0.1",
      balancer: { policy, slowStartMs },
      resources: { trustDomain: config.identity.trustDomain, historyPerResource },
      ...(identity === null ? {} : { identity }),
      ...(etcd === null ? {} : { etcd }),
    });
  } catch (error) {
    throw explainRegistryError(error, { bind, port, tlsPort, dataDir });
  }
}

/** While the daemon starts, a signal must reach it; later it is stopped in its turn. */
async function beginDaemon(
  config: Config,
  log: Log,
  shutdown: Shutdown,
  joinToken: string | null,
): Promise<RunningDaemon> {
  if (shutdown.stop.aborted) throw new Error("stopped before the daemon was started");
  const starting = new AbortController();
  const onStop = () => starting.abort();
  shutdown.stop.addEventListener("abort", onStop);
  try {
    const { force } = shutdown;
    return await startDaemon(config, {
      ...{ log, stop: starting.signal, force },
      ...(joinToken === null ? {} : { joinToken }),
    });
  } finally {
    shutdown.stop.removeEventListener("abort", onStop);
  }
}

async function runDemo(
  demoOptions: DemoOptions,
  { log: print, dashboardUrl }: UpOptions & { readonly dashboardUrl: string | null },
  end: AbortSignal,
  force: AbortSignal,
): Promise<void> {
  const demo = await abandonAtForce(startDemo(demoOptions), force, 0);
  print(demo.describe());
  const page = dashboardUrl === null ? "" : `The same as a page: ${dashboardUrl}  `;
  const admin = `http://127.0.0.1:${demoOptions.config.ports.admin}`;
  await liveTable({
    read: () => fetchStats(admin),
    frame: demoFrame,
    lines: demoLines,
    footer: `${page}Ctrl-C ends everything and leaves nothing behind.`,
    output: process.stdout,
    color: wantsColor(process.stdout.isTTY === true, process.env),
    signal: end,
  });
}

/** What a killed demo left must not stay, and must not keep the mesh from serving either. */
async function clearDemo(demoOptions: DemoOptions, log: Log): Promise<void> {
  try {
    await clearFormerDemo(demoOptions);
    await sweepDemoFolder({ log: demoOptions.log });
  } catch (error) {
    log.warn("what a former demo left was not cleared", { reason: describeError(error) });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
