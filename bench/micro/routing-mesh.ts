import { layout, openMemory, openSeries } from "../../daemon/memory.ts";
import { configSchema } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import type { RequestFacts } from "../../src/core/facts.ts";
import { seeded } from "../../src/core/random.ts";
import type { DataEndpoint, DataService } from "../../src/core/snapshot.ts";
import type { RequestHead } from "../../src/http/message.ts";
import { Clusters } from "../../src/proxy/clusters.ts";
import type { Origin } from "../../src/proxy/context.ts";
import { newFacts } from "../../src/proxy/exchange-facts.ts";
import { OwnPlaces } from "../../src/proxy/own-places.ts";
import type { Plane } from "../../src/proxy/plane.ts";
import { Router } from "../../src/proxy/resolve.ts";
import { ServiceTable } from "../../src/proxy/routing/match/table.ts";
import { ScopeBook } from "../../src/proxy/scopes.ts";
import { Outlier } from "../../src/proxy/upstream/balance/outlier.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";

/** The parts of a worker that route, balance and count; what speaks to sockets is left out. */
export type RoutingPlane = Pick<
  Plane,
  | "config"
  | "services"
  | "clusters"
  | "scopes"
  | "own"
  | "recorder"
  | "endpoints"
  | "outlier"
  | "clock"
>;

/** What a client connection has of its own. */
export interface Client {
  readonly router: Router;
  readonly facts: RequestFacts;
}

/** A worker's view of some services, with default settings and as it is when it serves. */
export interface RoutingMesh {
  readonly plane: RoutingPlane;
  readonly clients: readonly Client[];
  /** Of the request at hand; routing reads no more of it than these fields. */
  readonly head: RequestHead;
  /** The names as they come from the wire, one after the other, each of the same length. */
  readonly names: Buffer;
  readonly nameBytes: number;
  readonly services: readonly DataService[];
}

const EXPLICIT: Origin = {
  entry: "explicit",
  address: "127.0.0.1",
  workload: null,
  destination: null,
  identity: "",
  peer: null,
};
const PORT = 8_080;

/**
 * As many services as asked for, called `web-00000` and so on, each with as many endpoints of its own, and so many client
 * connections.
 */
export function routingMesh(
  services: number,
  endpointsEach: number,
  connections: number,
): RoutingMesh {
  const config = configSchema.parse({});
  const memory = layout(config, 1);
  const { endpoints, adaptive } = openMemory(memory, 0, config);
  const clock = processClock;
  const here = { host: "bench", zone: "", region: "", labels: {} };
  const random = seeded(1);
  const deps = { state: endpoints, clock, random, here, adaptive, defaults: {} };
  const own = new OwnPlaces(["127.0.0.1"], [4_140]);
  const recorder = new WorkerRecorder({
    series: openSeries(memory, 0),
    onSeries: () => undefined,
  });
  const plane: RoutingPlane = {
    ...{ services: new ServiceTable(), clusters: new Clusters(deps, own), own, recorder },
    ...{ config, scopes: new ScopeBook() },
    ...{ endpoints, outlier: new Outlier(endpoints, config.balance, random), clock },
  };
  const list = Array.from({ length: services }, (_, at) => serviceAt(at, endpointsEach));
  const startedMs = clock.now();
  for (const { slot } of list.flatMap((one) => one.endpoints)) endpoints.reset(slot, startedMs);
  const nothing = { removedServices: [], workloads: [], removedWorkloads: [] };
  plane.services.apply({ revision: 1, full: true, services: list, ...nothing });
  const names = Buffer.from(list.map(({ name }) => name).join(""), "latin1");
  const nameBytes = names.length / services;
  const clients = Array.from({ length: connections }, () => clientOf(plane));
  const head = { host: "", form: "origin", scheme: "" } as RequestHead;
  return { plane, clients, head, names, nameBytes, services: list };
}

function clientOf(plane: RoutingPlane): Client {
  const facts = newFacts(EXPLICIT);
  facts.status = 200;
  facts.durationMs = 0.4;
  // The router asks for no more of a plane than this.
  return { router: new Router(plane as Plane, EXPLICIT), facts };
}

function serviceAt(at: number, endpointsEach: number): DataService {
  const name = `web-${String(at).padStart(5, "0")}`;
  return {
    ...{ key: `default/${name}`, name, namespace: "default" },
    addresses: [`240.240.${at >> 8}.${at & 255}`],
    ports: [{ name: "", port: 80 }],
    balancer: { policy: "peak-ewma", slowStartMs: 10_000 },
    endpoints: Array.from({ length: endpointsEach }, (_, index) =>
      endpointAt(at * endpointsEach + index),
    ),
  };
}

function endpointAt(slot: number): DataEndpoint {
  return {
    ...{ slot, id: `bench/${slot}`, address: `127.1.${slot >> 8}.${slot & 255}`, port: PORT },
    ...{ portName: "", weight: 1, zone: "", host: "bench", meta: {}, health: "passing" },
    local: true,
  };
}
