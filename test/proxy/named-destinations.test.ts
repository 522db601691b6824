import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { layout, openMemory } from "../../daemon/memory.ts";
import { configSchema } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import { MeshError } from "../../src/core/errors.ts";
import { seeded } from "../../src/core/random.ts";
import type { DataService } from "../../src/core/snapshot.ts";
import type { RequestHead } from "../../src/http/message.ts";
import { Clusters, type ToCluster } from "../../src/proxy/clusters.ts";
import { NamedDestinations } from "../../src/proxy/named-destinations.ts";
import { OwnPlaces } from "../../src/proxy/own-places.ts";
import type { Plane } from "../../src/proxy/plane.ts";
import { Router } from "../../src/proxy/resolve.ts";
import { ServiceTable } from "../../src/proxy/routing/match/table.ts";
import { ScopeBook } from "../../src/proxy/scopes.ts";
import { endpoint, service } from "../helpers/plane.ts";
import { makeWorkload } from "../telemetry/make-facts.ts";

const NOTHING = { removedServices: [], workloads: [], removedWorkloads: [] };

/** As much of a worker as routing asks for. */
function routing() {
  const config = configSchema.parse({ limits: { endpoints: 16 } });
  const { endpoints, adaptive } = openMemory(layout(config, 1), 0, config);
  const own = new OwnPlaces(["127.0.0.1"], [4_140]);
  const here = { host: "here", zone: "", region: "", labels: {} };
  const basics = { state: endpoints, clock: processClock, random: seeded(1) };
  const deps = { ...basics, here, adaptive, defaults: {} };
  const recorder = { event: () => undefined };
  const parts = {
    ...{ services: new ServiceTable(), clusters: new Clusters(deps, own) },
    ...{ scopes: new ScopeBook(), own, recorder, config },
  };
  const plane = parts as unknown as Plane;
  let revision = 0;
  /** From a new connection of a workload in this namespace. */
  const route = (host: string, given: Partial<RequestHead> = {}, namespace = "default") => {
    const workload = { ...makeWorkload("app"), namespace };
    const origin = {
      entry: "explicit",
      address: "10.0.0.9",
      workload,
      destination: null,
      identity: "",
      peer: null,
    } as const;
    const head = { host, form: "origin", scheme: "", ...given } as RequestHead;
    return new Router(plane, origin).route(head);
  };
  const services = (...list: readonly DataService[]): void => {
    revision += 1;
    const change = plane.services.apply({ revision, full: true, services: list, ...NOTHING });
    for (const { before, after } of change.changed) plane.clusters.update(before, after);
    for (const one of change.removed) plane.clusters.remove(one);
  };
  const keyOf = (...args: Parameters<typeof route>): string => {
    const found = route(...args);
    return found.kind === "cluster" ? found.cluster.service.key : "outside";
  };
  return { plane, route, keyOf, services };
}

function inNamespace(namespace: string): DataService {
  return { ...service("web", [endpoint(8_080)]), namespace, key: `${namespace}/web` };
}

describe("what names led to", () => {
  it("serves every connection that names the same", () => {
    const { route, services } = routing();
    services(inNamespace("default"));
    const first = route("web");
    assert.equal(route("web"), first);
    const other = route("WEB.default.svc:80");
    assert.ok(other.kind === "cluster" && first.kind === "cluster");
    assert.equal(other.cluster, first.cluster);
  });

  it("depends on the namespace of the source", () => {
    const { keyOf, services } = routing();
    services(inNamespace("default"), inNamespace("shop"));
    for (let time = 0; time < 2; time += 1) {
      assert.equal(keyOf("web"), "default/web");
      assert.equal(keyOf("web", {}, "shop"), "shop/web");
    }
  });

  it("ends with the services that it was found in", () => {
    const { route, keyOf, services } = routing();
    const web = inNamespace("default");
    services(web);
    const before = route("web");
    services({ ...web, balancer: { policy: "random", slowStartMs: 0 } });
    const after = route("web");
    assert.ok(before.kind === "cluster" && after.kind === "cluster");
    assert.notEqual(after.cluster, before.cluster);
    services(inNamespace("shop"));
    assert.throws(() => route("web"), isCode("NO_ROUTE"));
    assert.equal(keyOf("web.shop"), "shop/web");
  });

  it("leaves out what depends on more than the name", () => {
    const { keyOf, route, services } = routing();
    const local = { ...service("localhost", [endpoint(8_080)]), key: "default/localhost" };
    services(local);
    assert.equal(keyOf("localhost"), "default/localhost");
    assert.throws(() => route("localhost:4140"), isCode("LOOP"));
    assert.equal(keyOf("elsewhere.test", { form: "absolute", scheme: "http" }), "outside");
    assert.throws(() => route("elsewhere.test"), isCode("NO_ROUTE"));
  });

  it("is bounded, however many spellings clients invent", () => {
    const named = new NamedDestinations();
    const destination = { kind: "cluster", fixed: null } as unknown as ToCluster;
    for (let at = 0; at < 40_000; at += 1) named.set("default", `web:${at}`, 1, destination);
    const kept = Array.from({ length: 40_000 }, (_, at) => named.get("default", `web:${at}`, 1));
    const size = kept.filter((one) => one !== undefined).length;
    assert.ok(size > 0 && size <= 32_768, `${size} are kept`);
    assert.equal(kept.at(-1), destination);
  });
});

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof MeshError && error.code === code;
}
