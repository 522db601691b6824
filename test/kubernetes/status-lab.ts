import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parseAllDocuments } from "yaml";
import { processClock, wallClock } from "../../src/core/clock.ts";
import type { KubeObject } from "../../src/kubernetes/api/objects.ts";
import type { Refusal, Refusals } from "../../src/kubernetes/status/refusals.ts";
import { type RunningStatus, startStatus } from "../../src/kubernetes/status/start-status.ts";
import { applyResources, candidatesOf } from "../../src/registry/apply-resources.ts";
import { Catalog } from "../../src/registry/catalog.ts";
import { type ResourcePlanSettings, removeResource } from "../../src/registry/plan-resource.ts";
import { SqliteStore } from "../../src/registry/sqlite-store.ts";
import { processTimers } from "../../src/registry/timers.ts";
import { Writer } from "../../src/registry/writer.ts";
import { KubeApiServer } from "../helpers/kube-api-server.ts";
import { definitionOf, type Loose } from "../helpers/kube-store.ts";
import { until } from "../helpers/until.ts";

const SETTINGS: ResourcePlanSettings = {
  rootNamespaces: ["istio-system"],
  trustDomain: "cluster.local",
  defaultIntention: "deny",
  historyPerResource: 0,
  ranges: [],
  balancer: { policy: "peak-ewma", slowStartMs: 0 },
};

const GATEWAY = "gateway.networking.k8s.io";
/** Kinds that the cluster has installed. */
const DEFINITIONS = [
  definitionOf(GATEWAY, "HTTPRoute", ["v1"]),
  definitionOf(GATEWAY, "GRPCRoute", ["v1"]),
  definitionOf(GATEWAY, "TCPRoute", ["v1alpha2"]),
  definitionOf(
    "gateway.networking.x-k8s.io",
    "XBackendTrafficPolicy",
    ["v1alpha1"],
    "xbackendtrafficpolicies",
  ),
  definitionOf("networking.istio.io", "VirtualService", ["v1"]),
  definitionOf("split.smi-spec.io", "TrafficSplit", ["v1alpha2"]),
];

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Who leads is said by the test. */
export class HandLeader {
  leading: boolean;
  readonly #listeners = new Set<(leading: boolean) => void>();

  constructor(leading: boolean) {
    this.leading = leading;
  }

  isLeader(): boolean {
    return this.leading;
  }

  subscribe(listener: (leading: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(leading: boolean): void {
    this.leading = leading;
    for (const listener of this.#listeners) listener(leading);
  }
}

class HandRefusals implements Refusals {
  readonly #refused = new Map<string, Refusal>();
  readonly #listeners = new Set<() => void>();

  get(key: string): Refusal | undefined {
    return this.#refused.get(key);
  }

  all(): Iterable<Refusal> {
    return this.#refused.values();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(key: string, refusal: Refusal | null): void {
    if (refusal === null && !this.#refused.has(key)) return;
    if (refusal === null) this.#refused.delete(key);
    else this.#refused.set(key, refusal);
    for (const listener of this.#listeners) listener();
  }
}

export interface StatusLabOptions {
  readonly leading?: boolean;
  readonly perSecond?: number;
}

/** A cluster, and the registry's records of it, which follow it in the same turn. */
export class StatusLab {
  readonly server: KubeApiServer;
  readonly catalog: Catalog;
  readonly refused = new HandRefusals();
  readonly #t: TestContext;
  readonly #writer: Writer;
  readonly #options: StatusLabOptions;

  private constructor(
    t: TestContext,
    server: KubeApiServer,
    catalog: Catalog,
    writer: Writer,
    options: StatusLabOptions,
  ) {
    this.#t = t;
    this.server = server;
    this.catalog = catalog;
    this.#writer = writer;
    this.#options = options;
  }

  static async start(t: TestContext, options: StatusLabOptions = {}): Promise<StatusLab> {
    const folder = await mkdtemp(join(tmpdir(), "hostmesh-status-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const store = new SqliteStore({ path: join(folder, "registry.sqlite") });
    t.after(() => store.close());
    const catalog = await Catalog.open(store);
    const server = await KubeApiServer.start(t);
    for (const definition of DEFINITIONS) server.apply(definition);
    return new StatusLab(t, server, catalog, new Writer(store, catalog), options);
  }

  /** Another replica of the registry, over the same records. */
  async replica(leading: boolean): Promise<{ leader: HandLeader; status: RunningStatus }> {
    const leader = new HandLeader(leading);
    const { perSecond = 10_000 } = this.#options;
    const status = startStatus({
      ...{ api: await this.server.open(), catalog: this.catalog, refused: this.refused, leader },
      ...{ instance: "registry-0", timers: processTimers, clock: processClock, wall: wallClock },
      ...{ random: Math.random, log: silent, perSecond },
    });
    this.#t.after(() => status.close());
    return { leader, status };
  }

  /** As someone with kubectl, of what the registry takes notice at once. */
  async apply(yaml: string): Promise<void> {
    const objects = parseAllDocuments(yaml)
      .map((document) => document.toJS() as Loose)
      .filter((object) => object !== null)
      .map((object) => this.server.apply(this.#withStatus(object)));
    await this.#writer.run((draft) => {
      const plain = objects.map(({ status: _, ...object }) => object);
      const change = { atMs: 1, by: "" };
      const { results } = applyResources(draft, candidatesOf(plain), SETTINGS, change);
      for (const [index, { key = "", errors }] of results.entries()) {
        const object = objects[index];
        if (object === undefined) continue;
        this.refused.set(key, errors.length === 0 ? null : { key, object, issues: errors });
      }
    });
  }

  /** Takes an object away. */
  async delete(apiVersion: string, kind: string, namespace: string, name: string): Promise<void> {
    this.server.remove({ apiVersion, kind, metadata: { namespace, name } });
    const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "core";
    const key = `${group}/${kind}/${namespace}/${name}`;
    this.refused.set(key, null);
    await this.#writer.run((draft) => {
      removeResource(draft, key, SETTINGS, { atMs: 1, by: "" });
    });
  }

  object(apiVersion: string, kind: string, name: string, namespace = "shop"): Loose {
    return this.server.get(apiVersion, kind, namespace, name);
  }

  route(name: string, namespace = "shop", kind = "HTTPRoute"): Loose {
    return this.object(`${GATEWAY}/v1`, kind, name, namespace);
  }

  /** `Accepted=True Accepted; ...` of every entry of ours. */
  conditions(name: string, namespace = "shop", kind = "HTTPRoute"): string[] {
    const parents: Loose[] = this.route(name, namespace, kind)?.status?.parents ?? [];
    return parents
      .filter(({ controllerName }) => controllerName === "hostmesh.io/mesh")
      .map(({ conditions }) =>
        conditions
          .map(({ type, status, reason }: Loose) => `${type}=${status} ${reason}`)
          .join(", "),
      );
  }

  /** Waits until the conditions of a route are these. */
  async becomes(name: string, wanted: readonly string[], namespace = "shop", kind = "HTTPRoute") {
    const text = JSON.stringify(wanted);
    await until(() => JSON.stringify(this.conditions(name, namespace, kind)) === text, {
      what: `conditions of ${name}: ${text}`,
    }).catch((error: unknown) => {
      const found = JSON.stringify(this.route(name, namespace, kind)?.status);
      throw new Error(`there is ${found}`, { cause: error });
    });
  }

  events(): Loose[] {
    return this.server.store.list("events.k8s.io/Event");
  }

  writes(): number {
    return this.server.count(/^(PATCH|PUT) .*\/status\?/);
  }

  /** What kubectl applies has no status, and leaves that as it is. */
  #withStatus(object: Loose): KubeObject {
    const { namespace = "default", name } = object.metadata;
    const { status } = this.server.get(object.apiVersion, object.kind, namespace, name) ?? {};
    return status === undefined ? object : { ...object, status };
  }
}
