import { formatHostPort, type HostPort } from "../../../core/address.ts";
import type { Clock } from "../../../core/clock.ts";
import type { Deadlines } from "../../../core/deadlines.ts";
import { LinkMemory } from "./link-memory.ts";
import { LinkTunnel, type TunnelHandler } from "./link-tunnel.ts";
import { type LinkDeps, MeshLink } from "./mesh-link.ts";
import type { LinkRoute, MeshRoute } from "./upstream-pool.ts";

/** Times in ms; 0: no limit. */
export interface TunnelDeps {
  readonly connectMs: number;
  readonly handshakeMs: number;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
}

/** No identity and no address has one. */
const MARK = "\n";

/** All links of one worker: two identities never share one. */
export class MeshLinks {
  readonly #deps: LinkDeps & TunnelDeps;
  readonly #links = new Map<string, MeshLink>();
  readonly #retired = new Set<MeshLink>();
  /** By mesh port: links of other identities lead to the same daemon. */
  readonly #memories = new Map<string, LinkMemory>();

  constructor(deps: LinkDeps & TunnelDeps) {
    this.#deps = deps;
  }

  /**
   * Opens a tunnel to an endpoint of another host. The handler is not called before this returns.
   * `connectMs`: the service's own limit until the other host is connected.
   */
  tunnel(
    place: HostPort,
    route: MeshRoute,
    handler: TunnelHandler,
    connectMs = this.#deps.connectMs,
  ): { cancel(): void } {
    return new LinkTunnel(place, route, handler, {
      links: this,
      deps: this.#deps,
      connectMs,
    }).start();
  }

  get(route: LinkRoute): MeshLink {
    const { source, destination, via } = route;
    const place = formatHostPort(via.host, via.port);
    const key = source + MARK + destination + MARK + place;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new MeshLink(route, this.#memoryOf(place), this.#deps);
      this.#links.set(key, link);
    }
    return link;
  }

  #memoryOf(place: string): LinkMemory {
    let memory = this.#memories.get(place);
    if (memory === undefined) {
      memory = new LinkMemory();
      this.#memories.set(place, memory);
    }
    return memory;
  }

  get idleCount(): number {
    let sum = 0;
    for (const link of this.#links.values()) sum += link.idleCount;
    return sum;
  }

  /** Nothing new goes by the connections that stand. */
  retire(): void {
    const links = [...this.#links.values()];
    this.#links.clear();
    for (const link of links) {
      this.#retired.add(link);
      link.retire();
    }
  }

  /** Certificates have changed. */
  renew(): void {
    for (const link of this.#links.values()) link.renew();
  }

  /** Forgets links that have nothing left. */
  sweep(): void {
    for (const [key, link] of this.#links) {
      // Older hosts have no links: what is kept is that they are old.
      if (!link.empty || link.form === "older" || link.form === "oldest") continue;
      link.close();
      this.#links.delete(key);
    }
    for (const link of this.#retired) {
      if (!link.empty) continue;
      link.close();
      this.#retired.delete(link);
    }
    const places = new Set<string>();
    for (const { route } of this.#links.values()) {
      places.add(formatHostPort(route.via.host, route.via.port));
    }
    for (const place of this.#memories.keys()) {
      if (!places.has(place)) this.#memories.delete(place);
    }
  }

  close(): void {
    for (const link of [...this.#links.values(), ...this.#retired]) link.close();
  }
}
