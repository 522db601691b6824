import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { formatHostPort } from "../core/address.ts";
import { type Clock, processClock } from "../core/clock.ts";
import type { BalancerConfig } from "../core/model.ts";
import type { Random } from "../core/random.ts";
import { Catalog } from "./catalog.ts";
import { CheckMonitor } from "./check-monitor.ts";
import type { Log } from "./log.ts";
import { WatchHub } from "./push.ts";
import { consulAgentRoutes } from "./routes/consul-agent.ts";
import { consulHealthRoutes } from "./routes/consul-health.ts";
import { meshRoutes } from "./routes/mesh.ts";
import type { CheckResult } from "./schema.ts";
import { listenRegistry } from "./server.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";
import { processTimers, type Timers } from "./timers.ts";
import { VirtualRange } from "./virtual-range.ts";
import { Waiters } from "./waiters.ts";
import { Writer } from "./writer.ts";

export interface RegistryOptions {
  /** Folder of `registry.sqlite`, created when missing. */
  readonly dataDir: string;
  readonly bind: string;
  /** 0: any free port. */
  readonly port: number;
  /** Name and address of the registry's own host: what Consul's calls belong to when they name none. */
  readonly host: string;
  readonly nodeAddress: string;
  /** Ranges of virtual addresses; empty: none of that family. */
  readonly virtualCidr4: string;
  readonly virtualCidr6: string;
  readonly pingMs: number;
  /** For services that choose no balancer. */
  readonly balancer: BalancerConfig;
  readonly log: Log;
  readonly clock?: Clock;
  readonly timers?: Timers;
  readonly random?: Random;
  /** Limits, for tests and unusual sizes. */
  readonly maxBlockingQueries?: number;
  readonly maxWatchers?: number;
  readonly maxBufferedBytes?: number;
  readonly maxLogEntries?: number;
  readonly digestMs?: number;
  readonly answerMs?: number;
  readonly requestTimeoutMs?: number;
}

export interface RunningRegistry {
  readonly url: string;
  readonly port: number;
  /** Ends watches and requests, writes what was accepted, closes the store. */
  close(): Promise<void>;
}

/**
 * The registry as one process part: store, HTTP API and watch. Rejects where the store cannot be opened
 * or the port cannot be had; then nothing is left open.
 */
export async function startRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  await mkdir(options.dataDir, { recursive: true });
  const { maxLogEntries } = options;
  const store = new SqliteStore({
    path: join(options.dataDir, "registry.sqlite"),
    ...(maxLogEntries === undefined ? {} : { maxLogEntries }),
  });
  try {
    return await startWith(store, options);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function startWith(store: Store, options: RegistryOptions): Promise<RunningRegistry> {
  const { log, clock = processClock, timers = processTimers, random = Math.random } = options;
  const ranges = [options.virtualCidr4, options.virtualCidr6]
    .filter((cidr) => cidr !== "")
    .map((cidr) => new VirtualRange(cidr));
  const catalog = await Catalog.open(store);
  const writer = new Writer(store, catalog);
  const monitor = new CheckMonitor({ catalog, writer, clock, timers, log });
  const maxWaiting = options.maxBlockingQueries ?? 4_096;
  const waiters = new Waiters({ catalog, timers, random, maxWaiting });
  const hub = new WatchHub({
    ...limitsOf(options),
    ...{ catalog, store, clock, timers, log, pingMs: options.pingMs },
    results: (host, results) => takeResults(monitor, host, results, log),
  });
  let port = options.port;
  const parts = {
    ...{ catalog, writer, monitor, waiters, epoch: store.epoch },
    settings: { ranges, balancer: options.balancer },
    host: options.host,
    nodeAddress: options.nodeAddress,
    daemons: () => hub.daemons(),
    listening: () => formatHostPort(options.bind, port),
  };
  const close = async () => {
    hub.close();
    monitor.close();
    await writer.close();
    await store.close();
  };
  try {
    const { requestTimeoutMs } = options;
    const server = await listenRegistry({
      bind: options.bind,
      port,
      routes: [...consulAgentRoutes(parts), ...consulHealthRoutes(parts), ...meshRoutes(parts)],
      revision: () => catalog.revision(),
      upgrade: (request, socket, head) => hub.upgrade(request, socket, head),
      log,
      ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
    });
    port = server.port;
    if (!isLoopback(options.bind)) {
      log.warn("the registry has no login: whoever reaches its port may change the mesh", {
        address: parts.listening(),
      });
    }
    log.info("the registry listens", { address: parts.listening(), revision: catalog.revision() });
    return {
      url: `http://${parts.listening()}`,
      port,
      async close() {
        hub.close();
        await server.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function isLoopback(bind: string): boolean {
  return bind === "localhost" || bind === "::1" || bind.startsWith("127.");
}

/** Only the limits that were given, so that the others keep their defaults. */
function limitsOf({ maxWatchers, maxBufferedBytes, digestMs, answerMs }: RegistryOptions) {
  return {
    ...(maxWatchers === undefined ? {} : { maxWatchers }),
    ...(maxBufferedBytes === undefined ? {} : { maxBufferedBytes }),
    ...(digestMs === undefined ? {} : { digestMs }),
    ...(answerMs === undefined ? {} : { answerMs }),
  };
}

/** A daemon speaks for the endpoints of its own host only. */
function takeResults(
  monitor: CheckMonitor,
  host: string,
  results: readonly CheckResult[],
  log: Log,
): void {
  for (const { check, status, output } of results) {
    if (!check.startsWith(`${host}/`)) {
      log.warn("a daemon reported a check of another host", { host, check });
      continue;
    }
    monitor
      .report(check, status, output)
      .catch((error: unknown) => log.error("a check result was not written", { check, error }));
  }
}
