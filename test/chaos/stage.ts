import { until } from "../helpers/until.ts";
import type { Manner } from "../netns/helpers/chaos-app.ts";
import { Mesh, type MeshContainer, type MeshHost } from "../netns/helpers/mesh.ts";
import { kill } from "../netns/helpers/namespace.ts";
import { Script } from "../netns/helpers/program.ts";
import type { LoadReport } from "../netns/helpers/reports.ts";
import type { ShapedLink } from "../netns/helpers/shaped-link.ts";

export const SERVICE = "catalog";
const RETRIES = "hostmesh_retries_total";
const LOOPS = 6;
const PAUSE_MS = 5;

/** One process that serves, in a container that it shares with others. */
export class Server {
  readonly name: string;
  readonly at: MeshContainer;
  readonly port: number;
  #app: Script;
  /** What processes before the present one have read. */
  #before = 0;

  private constructor(name: string, at: MeshContainer, port: number, app: Script) {
    this.name = name;
    this.at = at;
    this.port = port;
    this.#app = app;
  }

  static async start(name: string, at: MeshContainer, port: number): Promise<Server> {
    return new Server(name, at, port, await Server.#run(name, at, port));
  }

  static #run(name: string, at: MeshContainer, port: number): Promise<Script> {
    return Script.start(at.container.namespace, "chaos-app", [name, port]);
  }

  get endpoint(): object {
    return this.at.on.endpoint(this.name, SERVICE, this.at, this.port);
  }

  async behave(manner: Manner, delayMs = 0): Promise<void> {
    await this.#app.ask({ manner, delayMs });
  }

  /** How many requests it has read. */
  async requests(): Promise<number> {
    return this.#before + (await this.#app.ask<{ requests: number }>({})).requests;
  }

  freeze(): void {
    this.#app.child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#app.child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    this.#before = await this.requests();
    kill(this.#app.pid);
    await this.#app.end();
  }

  /** Ends whatever was done to it. */
  async heal(): Promise<void> {
    this.thaw();
    if (!this.#app.running) await this.restart();
    await this.behave("well");
  }

  async restart(): Promise<void> {
    this.#app = await Server.#run(this.name, this.at, this.port);
  }
}

/** What happened to the requests of one scenario. */
export interface Outcome extends LoadReport {
  /** Tries beyond the first of a request, as the daemon of the callers counts them. */
  readonly retries: number;
  /** Requests that all servers together have read. */
  readonly read: number;
  readonly seconds: number;
}

/**
 * Two enrolled hosts with a daemon each, a link between them that can be spoiled, and a service with three endpoints
 * on the one and two on the other. `front` is a program on the first host that calls the service by its virtual address.
 */
export class ChaosStage {
  readonly mesh: Mesh;
  readonly a: MeshHost;
  readonly b: MeshHost;
  readonly front: MeshContainer;
  readonly near: readonly Server[];
  readonly far: readonly Server[];
  readonly link: ShapedLink;
  readonly url: string;

  private constructor(parts: Omit<ChaosStage, "servers" | "under">) {
    this.mesh = parts.mesh;
    this.a = parts.a;
    this.b = parts.b;
    this.front = parts.front;
    this.near = parts.near;
    this.far = parts.far;
    this.link = parts.link;
    this.url = parts.url;
  }

  static async create(): Promise<ChaosStage> {
    const mesh = await Mesh.create({ shaped: true });
    try {
      const [a, b] = [
        await mesh.host("a", { veth: "unnumbered" }),
        await mesh.host("b", { veth: "unnumbered" }),
      ];
      const [front, nearby, away] = [
        await a.container("front", { address4: "10.1.0.2" }),
        await a.container("near", { address4: "10.1.0.3" }),
        await b.container("far", { address4: "10.2.0.2" }),
      ];
      const start = (name: string, at: MeshContainer, count: number) =>
        Promise.all(
          Array.from({ length: count }, (_, at_) => Server.start(`${name}${at_}`, at, 8_080 + at_)),
        );
      const [near, far] = await Promise.all([
        start("near", nearby, 2),
        start("far", away, 3),
        mesh.startRegistry(a),
      ]);
      // In turn, so that every fault is met.
      const balancer = { policy: "round-robin", slowStartMs: 0 };
      const services = [{ name: SERVICE, ports: [{ name: "", port: 80 }], balancer }];
      const endpoints = [...near, ...far].map(({ endpoint }) => endpoint);
      const workloads = [front, nearby, away].map(({ account }) => account);
      await mesh.apply({ services, endpoints, workloads });
      // What was ejected in one scenario is back in the next.
      const ejection = ["balance.baseEjectionMs=300", "balance.maxEjectionMs=600"];
      const set = ["timeouts.connectMs=1000", ...ejection];
      const daemon = { capture: "tproxy", enrol: true, set } as const;
      await Promise.all([a, b].map((host) => host.startDaemon(daemon)));
      await Promise.all([a.untilCertified(), b.untilCertified(), a.untilCaptured(front)]);
      await mesh.settled();
      const url = `http://${(await mesh.addressesOf(SERVICE)).v4}/`;
      const [link] = mesh.links;
      if (link === undefined) throw new Error("the hosts are not linked");
      await until(async () => (await front.http(url)).status === 200, { what: "an answer" });
      return new ChaosStage({ mesh, a, b, front, near, far, link, url });
    } catch (error) {
      await mesh.destroy();
      throw error;
    }
  }

  get servers(): readonly Server[] {
    return [...this.near, ...this.far];
  }

  /** Puts the service under load while `act` goes on, and tells how the requests of that time ended. */
  async under(act: (load: Script) => Promise<void>): Promise<Outcome> {
    const load = await this.front.load(this.url, LOOPS, PAUSE_MS);
    const all = { destination: `default/${SERVICE}` };
    const [before, readBefore] = [await this.a.metric(RETRIES, all), await this.#read()];
    const startMs = performance.now();
    try {
      await act(load);
      const report = await load.ask<LoadReport>({ stop: true });
      const seconds = (performance.now() - startMs) / 1_000;
      const retries = (await this.a.metric(RETRIES, all)) - before;
      for (const server of this.servers) server.thaw();
      return { ...report, retries, read: (await this.#read()) - readBefore, seconds };
    } finally {
      await load.end("SIGKILL");
    }
  }

  async #read(): Promise<number> {
    const counts = await Promise.all(this.servers.map((server) => server.requests()));
    return counts.reduce((sum, count) => sum + count, 0);
  }
}
