import { join } from "node:path";
import { Crew } from "../contestants/crew.ts";
import { type Hostmesh, startHostmesh } from "../contestants/start-hostmesh.ts";
import { openSite, type Site } from "../lib/site.ts";
import { Workbench } from "../lib/workbench.ts";
import { runLoad } from "../load/run-load.ts";
import type { LoadJob, LoadResult, Target } from "../model.ts";
import { startUpstream } from "../upstream/start-upstream.ts";

/** Loopback addresses of the containers: the one that is measured, the flood's, and those of the well-behaved. */
export const MODEST = "127.0.0.2";
export const FLOOD = "127.0.0.3";
const FIRST_PEER = 11;

const WARM_UP_SECONDS = 0.5;

/** One worker, an upstream, and the sources that call it through the explicit port. */
export class Stage {
  readonly #bench: Workbench;
  readonly #site: Site;
  readonly #mesh: Hostmesh;

  private constructor(bench: Workbench, site: Site, mesh: Hostmesh) {
    this.#bench = bench;
    this.#site = site;
    this.#mesh = mesh;
  }

  /** `turnRequests`: the setting, instead of its default. */
  static async open(
    { peers, turnRequests }: { readonly peers: number; readonly turnRequests?: number },
    signal: AbortSignal,
  ): Promise<Stage> {
    const site = await openSite("same-host", { workers: 1, signal });
    const bench = await Workbench.open(signal);
    try {
      const upstream = await startUpstream(bench, site, { services: 1 });
      const configFolder = join(bench.folder, "config");
      const crew = await Crew.open({ bench, site, name: "fairness", configFolder });
      const addresses = [MODEST, FLOOD, ...peerAddresses(peers)];
      const mesh = await startHostmesh(crew, {
        services: [{ name: "web", endpoints: upstream.services }],
        workloads: addresses.map((address, at) => ({ name: `container-${at}`, address })),
        ...{ place: site.a, workers: 1, connections: 2_000, protocol: "http1" },
        ...(turnRequests === undefined ? {} : { turnRequests }),
      });
      return new Stage(bench, site, mesh);
    } catch (error) {
      await bench.close();
      await site.close();
      throw error;
    }
  }

  get note(): string {
    return this.#site.note;
  }

  /** The service as these sources call it. */
  targets(addresses: readonly string[]): Target[] {
    const [target] = this.#mesh.targets;
    if (target === undefined) throw new Error("there is no service");
    return addresses.map((from) => ({ ...target, from }));
  }

  /** Runs a load; `counting` is called when its counted time begins. */
  run(
    addresses: readonly string[],
    load: Pick<LoadJob, "connections" | "rate" | "bodyBytes" | "seconds">,
    counting: () => void = () => undefined,
  ): Promise<LoadResult> {
    const job: LoadJob = {
      ...{ protocol: "http1", targets: this.targets(addresses), vary: false },
      ...{ warmUpSeconds: WARM_UP_SECONDS, ...load },
    };
    return runLoad(this.#bench, this.#site, job, { counting, counted: () => undefined });
  }

  async close(): Promise<void> {
    await this.#bench.close();
    await this.#site.close();
  }
}

export function peerAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `127.0.0.${FIRST_PEER + at}`);
}
