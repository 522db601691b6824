import { join } from "node:path";
import { Crew } from "../contestants/crew.ts";
import { type Hostmesh, startHostmesh } from "../contestants/start-hostmesh.ts";
import { treeTimes } from "../lib/cpu-time.ts";
import { openSite, type Site } from "../lib/site.ts";
import { findProgram } from "../lib/tools.ts";
import { Workbench } from "../lib/workbench.ts";
import { runLoad } from "../load/run-load.ts";
import type { LoadJob, LoadResult, Target } from "../model.ts";
import { startUpstream } from "../upstream/start-upstream.ts";

/** Loopback addresses of the containers: the one that is measured, the flood's, and those of the well-behaved. */
export const MODEST = "127.0.0.2";
export const FLOOD = "127.0.0.3";
const FIRST_PEER = 11;

const WARM_UP_SECONDS = 0.5;
const REAL_TIME_PRIORITY = "10";

/** Which of the two services a load calls: the one of the container that is measured, or that of the load beside it. */
export type Part = "measured" | "beside";

/**
 * One worker, a service for the container that is measured and one for the load beside it, and the sources that call them
 * through the explicit port. What is measured shall wait in the proxy and nowhere else: its generator and its service
 * run at real-time priority, where that is allowed.
 */
export class Stage {
  readonly #bench: Workbench;
  readonly #sites: Readonly<Record<Part, Site>>;
  readonly #mesh: Hostmesh;

  private constructor(bench: Workbench, sites: Readonly<Record<Part, Site>>, mesh: Hostmesh) {
    this.#bench = bench;
    this.#sites = sites;
    this.#mesh = mesh;
  }

  /** `turnRequests`: the setting, instead of its default. */
  static async open(
    { peers, turnRequests }: { readonly peers: number; readonly turnRequests?: number },
    signal: AbortSignal,
  ): Promise<Stage> {
    const site = await openSite("same-host", { workers: 1, signal });
    const urgent = await atRealTime(site);
    const bench = await Workbench.open(signal);
    try {
      const measured = await startUpstream(bench, urgent, { services: 1 });
      const beside = await startUpstream(bench, site, { services: 1 });
      const configFolder = join(bench.folder, "config");
      const crew = await Crew.open({ bench, site, name: "fairness", configFolder });
      const addresses = [MODEST, FLOOD, ...peerAddresses(peers)];
      const mesh = await startHostmesh(crew, {
        services: [
          { name: "measured", endpoints: measured.services },
          { name: "beside", endpoints: beside.services },
        ],
        workloads: addresses.map((address, at) => ({ name: `container-${at}`, address })),
        ...{ place: site.a, workers: 1, connections: 2_000, protocol: "http1" },
        ...(turnRequests === undefined ? {} : { turnRequests }),
      });
      return new Stage(bench, { measured: urgent, beside: site }, mesh);
    } catch (error) {
      await bench.close();
      await site.close();
      throw error;
    }
  }

  get note(): string {
    const { beside, measured } = this.#sites;
    const urgent =
      beside === measured ? "no real-time priority" : "what is measured at real-time priority";
    return `${beside.note}; ${urgent}`;
  }

  /** CPU time that the proxy has used, in ms. */
  async proxyMs(): Promise<number> {
    const { userMs, systemMs } = await treeTimes(this.#mesh.pid);
    return userMs + systemMs;
  }

  /** The service of this part as these sources call it. */
  #targets(part: Part, addresses: readonly string[]): Target[] {
    const target = this.#mesh.targets[part === "measured" ? 0 : 1];
    if (target === undefined) throw new Error("there is no such service");
    return addresses.map((from) => ({ ...target, from }));
  }

  /** Runs a load; `counting` is called when its counted time begins. */
  run(
    part: Part,
    addresses: readonly string[],
    load: Pick<LoadJob, "connections" | "rate" | "bodyBytes" | "seconds">,
    counting: () => void = () => undefined,
  ): Promise<LoadResult> {
    const job: LoadJob = {
      ...{ protocol: "http1", targets: this.#targets(part, addresses), vary: part === "beside" },
      ...{ warmUpSeconds: WARM_UP_SECONDS, ...load },
    };
    return runLoad(this.#bench, this.#sites[part], job, { counting, counted: () => undefined });
  }

  async close(): Promise<void> {
    await this.#bench.close();
    await this.#sites.beside.close();
  }
}

/** The same place, where processes of the load come before all others; the same site where that is not to be had. */
async function atRealTime(site: Site): Promise<Site> {
  const chrt = process.getuid?.() === 0 ? await findProgram("chrt") : null;
  if (chrt === null) return site;
  return {
    ...site,
    command: (place, role, command, nth) =>
      site.command(place, role, [chrt, "--rr", REAL_TIME_PRIORITY, ...command], nth),
  };
}

export function peerAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `127.0.0.${FIRST_PEER + at}`);
}
