import { readFile } from "node:fs/promises";
import { parseOpenFiles } from "../contestants/open-files.ts";
import type { Address } from "../contestants/relay.ts";
import { noteOf } from "../contestants/relays.ts";
import { openSite, type Site } from "../lib/site.ts";
import { spread } from "../lib/statistics.ts";
import { Workbench } from "../lib/workbench.ts";
import type { HttpProtocol, IdleConnectionsRow, IdleRow, Missing, Peer } from "../model.ts";
import { formatProtocol } from "../result/workload-label.ts";
import { findPeers, wiresOf } from "../scale/start-shared.ts";
import { startUpstream } from "../upstream/start-upstream.ts";
import { SPARE_FILES } from "./hold.ts";
import type { IdleLab } from "./idle-lab.ts";
import { measureConnections } from "./measure-connections.ts";
import { measureDaemon } from "./measure-daemon.ts";
import { measureSidecars } from "./measure-sidecars.ts";
import { idlePoints } from "./points.ts";
import { sidecarKinds } from "./sidecars.ts";

export interface IdleOptions {
  /** Containers of the host, each with a sidecar in the one case. */
  readonly containers: number;
  readonly peers: readonly Peer[];
  readonly protocol: HttpProtocol;
  /** false: only the daemon, and the connections. Default true. */
  readonly sidecars?: boolean;
  /** null: `envoy` on PATH. */
  readonly envoyBinary: string | null;
  /** Idle client connections whose memory is measured; 0: none. */
  readonly connections: number;
  /** Fresh proxies for that, of which the median counts. */
  readonly repeat: number;
  /** Time without any work before memory is read. */
  readonly settleMs: number;
}

/** What a run needs beside its options. */
export interface IdleContext {
  readonly signal: AbortSignal;
  readonly configFolder: string;
  readonly onProgress: (line: string) => void;
}

export interface IdleOutcome {
  readonly rows: readonly IdleRow[];
  readonly connections: readonly IdleConnectionsRow[];
  /** Who could not be measured, and why. */
  readonly missing: readonly Missing[];
  /** How it was measured, and what is not as it was asked for. */
  readonly notes: readonly string[];
}

/** Requests that each container's path carries before its memory is read. */
const REQUESTS = 10;

const NODE_NOTE =
  "idle, PSS of hostmesh: the bench runs on Node, too, and shares the program's text with it; the text is counted as if hostmesh had it alone";

/**
 * Memory of N idle sidecars of each kind against one hostmesh daemon for N containers, on one host, and what idle client
 * connections cost a proxy. Whoever fails is missing, and the others go on. Rejects with the signal's reason.
 */
export async function runIdle(context: IdleContext, options: IdleOptions): Promise<IdleOutcome> {
  const site = await openSite("same-host", { workers: 1, signal: context.signal });
  try {
    const run = new IdleRun(context, options, site);
    await run.daemon();
    await run.sidecars();
    await run.connections();
    return run.outcome;
  } finally {
    await site.close();
  }
}

class IdleRun {
  readonly #context: IdleContext;
  readonly #options: IdleOptions;
  readonly #site: Site;
  readonly #rows: IdleRow[] = [];
  readonly #connections: IdleConnectionsRow[] = [];
  readonly #missing: Missing[] = [];
  readonly #notes: string[];

  constructor(context: IdleContext, options: IdleOptions, site: Site) {
    this.#context = context;
    this.#options = options;
    this.#site = site;
    this.#notes = [methodOf(options), NODE_NOTE];
  }

  get outcome(): IdleOutcome {
    const [rows, connections] = [this.#rows, this.#connections];
    return { rows, connections, missing: this.#missing, notes: this.#notes };
  }

  /** A fresh daemon for each number of containers. */
  async daemon(): Promise<void> {
    if (!this.#options.peers.includes("hostmesh")) return;
    for (const containers of idlePoints(this.#options.containers)) {
      await this.#attempt(
        `hostmesh daemon, ${containers} containers`,
        containers,
        async (lab, apps) => {
          this.#rows.push(...(await measureDaemon(lab, apps)));
        },
      );
    }
  }

  async sidecars(): Promise<void> {
    const { peers, envoyBinary, containers, protocol, sidecars = true } = this.#options;
    if (!sidecars) return;
    const { kinds, missing } = await sidecarKinds(peers, envoyBinary, protocol);
    this.#missing.push(...missing);
    for (const kind of kinds) {
      await this.#attempt(kind.name, containers, async (lab, apps) => {
        const measured = await measureSidecars(lab, kind, idlePoints(containers), apps);
        this.#rows.push(...measured.rows);
        this.#notes.push(...measured.notes);
      });
    }
  }

  async connections(): Promise<void> {
    const { peers, envoyBinary, protocol, repeat } = this.#options;
    const connections = await this.#connectionsThatFit();
    if (connections === 0) return;
    const { found } = await findPeers(peers, envoyBinary);
    for (const one of found) {
      const each: number[] = [];
      for (let round = 0; round < repeat; round++) {
        const name = `${one.peer}, idle connections`;
        const isDone = await this.#attempt(name, 1, async (lab, apps) => {
          each.push(await measureConnections(lab, one, apps[0] as Address, connections, round));
        });
        if (!isDone) break;
      }
      if (each.length < repeat) continue;
      const pssBytesEach = spread(each).median;
      const contestant = one.peer + noteOf(wiresOf(one, protocol));
      this.#connections.push({ contestant, protocol, connections, pssBytesEach });
    }
  }

  /** The holder of the connections, and the proxy, have one descriptor for each. */
  async #connectionsThatFit(): Promise<number> {
    const { connections } = this.#options;
    const { hard } = parseOpenFiles(await readFile("/proc/self/limits", "utf8"));
    const most = Math.max(0, hard - 2 * SPARE_FILES);
    if (connections <= most) return connections;
    this.#notes.push(
      `idle connections: ${most} instead of ${connections}, as ${hard} open files are allowed (ulimit -Hn)`,
    );
    return most;
  }

  /** Does one thing with processes of its own, all of which end with it. Returns whether it could be done. */
  async #attempt(
    name: string,
    services: number,
    work: (lab: IdleLab, apps: readonly Address[]) => Promise<void>,
  ): Promise<boolean> {
    const { signal, configFolder, onProgress } = this.#context;
    const { settleMs, protocol } = this.#options;
    const bench = await Workbench.open(signal);
    const site = this.#site;
    const lab: IdleLab = {
      ...{ bench, site, protocol, signal, configFolder, settleMs, onProgress },
      requests: REQUESTS,
    };
    try {
      const upstream = await startUpstream(bench, site, { services });
      await work(lab, upstream.services);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      this.#missing.push({ name, reason });
      return false;
    } finally {
      await bench.close();
    }
  }
}

function methodOf({ settleMs, protocol }: IdleOptions): string {
  const seconds = settleMs / 1e3;
  return `idle, ${formatProtocol(protocol)}: started, ready, ${REQUESTS} requests for 115 bytes carried for each container (through both ways of a sidecar: out, and in again), their connections closed, ${seconds} s at rest; a sidecar knows one service, which is the least that one can know, and a daemon those of all containers; memory of the kernel for sockets is not in it`;
}
