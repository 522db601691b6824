import type { Config } from "../src/config/schema.ts";
import { wantsColor } from "../src/core/terminal.ts";
import type { RunningRegistry } from "../src/registry/registry.ts";
import { startRegistry } from "../src/registry/registry.ts";
import type { Log } from "../src/telemetry/log.ts";
import { createLog, describeError } from "../src/telemetry/log.ts";
import { DeclaredFiles } from "./declared-files.ts";
import { demoFrame, demoLines } from "./demo/demo-frame.ts";
import { liveTable } from "./demo/live-table.ts";
import type { DemoOptions } from "./demo/start-demo.ts";
import { clearFormerDemo, startDemo } from "./demo/start-demo.ts";
import { fetchStats } from "./demo/stat-view.ts";
import type { Shutdown } from "./shutdown-signals.ts";
import { shutdownSignals } from "./shutdown-signals.ts";
import type { RunningDaemon } from "./start-daemon.ts";
import { startDaemon } from "./start-daemon.ts";

export interface UpOptions {
  readonly config: Config;
  /** Files that declare services, endpoints and workloads. */
  readonly files: readonly string[];
  readonly demo: boolean;
  /** Folder of the registry's store and of the snapshot. */
  readonly dataDir: string;
  /** Takes one line of the log, without its end. */
  readonly log: (line: string) => void;
}

/** What has been started, in order; undone in reverse. */
type Undo = { readonly what: string; readonly run: () => Promise<void> };

/**
 * `hostmesh up`: registry and guardian in this process, the data path in a child. Runs until a signal or
 * `POST /drain`. Resolves with the exit code: 0 after an orderly stop, 1 where something did not start.
 */
export async function runUp(options: UpOptions): Promise<number> {
  const { logLevel, logFormat } = options.config.telemetry;
  const write = (line: string) => options.log(line.trimEnd());
  const log = createLog({ level: logLevel, format: logFormat, write });
  const shutdown = shutdownSignals(log);
  const undo: Undo[] = [];
  let code = 0;
  try {
    await run(options, log, shutdown, undo);
  } catch (error) {
    if (!shutdown.stop.aborted) {
      log.error("could not start", { reason: describeError(error) });
      code = 1;
    }
  }
  for (const { what, run: undoIt } of undo.reverse()) {
    try {
      await undoIt();
    } catch (error) {
      log.error(`could not stop ${what}`, { reason: describeError(error) });
      code = 1;
    }
  }
  shutdown.dispose();
  return code;
}

async function run(options: UpOptions, log: Log, shutdown: Shutdown, undo: Undo[]): Promise<void> {
  const { files, dataDir } = options;
  const registry = await beginRegistry(options, log);
  undo.push({ what: "the registry", run: () => registry.close() });
  const urls = [registry.url];
  const settings = { ...options.config.registry, port: registry.port, urls };
  const config = { ...options.config, dataDir, registry: settings };

  const daemon = await beginDaemon(config, log, shutdown);
  undo.push({ what: "the daemon", run: () => daemon.stop() });
  const { host } = config;
  const declared = new DeclaredFiles({ files, registryUrl: registry.url, host, dataDir, log });
  undo.push({ what: "watching files", run: () => declared.close() });
  await declared.start();

  const ended = new AbortController();
  const end = AbortSignal.any([shutdown.stop, ended.signal]);
  void daemon.done.then(() => ended.abort());
  const ports = { ...config.ports, explicit: daemon.ports.explicit, admin: daemon.ports.admin };
  const demoOptions: DemoOptions = {
    config: { ...config, ports },
    registryUrl: registry.url,
    log: (line) => log.info(line),
    privileged: daemon.mode !== "explicit",
  };
  log.info("ready", { mode: daemon.mode, registry: registry.url, ...daemon.ports });
  if (options.demo) await runDemo(demoOptions, options, undo, end);
  else {
    await clearDemo(demoOptions, log);
    options.log(`try: curl -x http://127.0.0.1:${daemon.ports.explicit} http://SERVICE/`);
  }
  await aborted(end);
}

function beginRegistry({ config, dataDir }: UpOptions, log: Log): Promise<RunningRegistry> {
  const { bind, port, virtualCidr4, virtualCidr6, pingMs } = config.registry;
  const { policy, slowStartMs } = config.balance;
  return startRegistry({
    ...{ dataDir, bind, port, virtualCidr4, virtualCidr6, pingMs, log },
    host: config.host,
    // What is registered here without an address runs on this very machine.
    nodeAddress: "127.0.0.1",
    balancer: { policy, slowStartMs },
  });
}

/** While the daemon starts, a signal must reach it; later it is stopped in its turn. */
async function beginDaemon(config: Config, log: Log, shutdown: Shutdown): Promise<RunningDaemon> {
  const starting = new AbortController();
  const onStop = () => starting.abort();
  shutdown.stop.addEventListener("abort", onStop);
  try {
    const { force } = shutdown;
    return await startDaemon(config, { log, stop: starting.signal, force });
  } finally {
    shutdown.stop.removeEventListener("abort", onStop);
  }
}

async function runDemo(
  demoOptions: DemoOptions,
  { log: print }: UpOptions,
  undo: Undo[],
  end: AbortSignal,
): Promise<void> {
  const demo = await startDemo(demoOptions);
  undo.push({ what: "the demo", run: () => demo.stop() });
  print(demo.describe());
  const admin = `http://127.0.0.1:${demoOptions.config.ports.admin}`;
  await liveTable({
    read: () => fetchStats(admin),
    frame: demoFrame,
    lines: demoLines,
    footer: "Ctrl-C ends everything and leaves nothing behind.",
    output: process.stdout,
    color: wantsColor(process.stdout.isTTY === true, process.env),
    signal: end,
  });
}

/** What a killed demo left must not stay, and must not keep the mesh from serving either. */
async function clearDemo(demoOptions: DemoOptions, log: Log): Promise<void> {
  try {
    await clearFormerDemo(demoOptions);
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
