import type { PageReport } from "../../src/dashboard/page/net/types.ts";
import type { ErrorReport, Security } from "../../src/sight/host-report.ts";
import type {
  EdgeFigures,
  EndpointFigures,
  Figures,
  HostSummary,
  ServiceFigures,
  SourceFigures,
} from "../../src/sight/mesh-report.ts";

/** Reports as a registry would make them: a small shop with troubles, and a large mesh. The same turn gives the same report. */
export const START_MS = Date.UTC(2026, 4, 12, 9, 30);
export const EVERY_MS = 2_000;

/** A number of 0 to 1 that belongs to its seed (a step of mulberry32). */
function chance(seed: number): number {
  let state = (seed * 0x9e3779b9 + 0x6d2b79f5) | 0;
  state = Math.imul(state ^ (state >>> 15), state | 1);
  state ^= state + Math.imul(state ^ (state >>> 7), state | 61);
  return ((state ^ (state >>> 14)) >>> 0) / 4_294_967_296;
}

interface Shape {
  readonly rps: number;
  readonly success?: number;
  readonly p50Ms?: number;
}

function figures({ rps, success = 1, p50Ms = 4 }: Shape, seed: number, turn: number): Figures {
  const wave = 1 + 0.08 * Math.sin((turn + seed) / 7) + 0.04 * (chance(seed * 7919 + turn) - 0.5);
  const now = rps * wave;
  const requests = Math.round(rps * (600 + turn * 2));
  const isQuiet = rps === 0;
  return {
    requests,
    failures: Math.round(requests * (1 - success)),
    requestBytes: requests * 420,
    responseBytes: requests * 2_600,
    rps: now,
    bytesPerSecond: now * 3_020,
    success: isQuiet ? null : success,
    p50Ms: isQuiet ? null : p50Ms * wave,
    p95Ms: isQuiet ? null : p50Ms * 2.6 * wave,
    p99Ms: isQuiet ? null : p50Ms * 4.4 * wave,
  };
}

/** Endpoints that share a service's requests as given. */
function endpoints(
  service: string,
  rps: number,
  parts: readonly { share: number; latencyMs: number; ejectedBy?: string[]; health?: string }[],
  turn: number,
): EndpointFigures[] {
  const short = service.slice(service.indexOf("/") + 1);
  return parts.map(({ share, latencyMs, ejectedBy = [], health = "passing" }, at) => ({
    ...figures({ rps: rps * share, p50Ms: latencyMs }, at + short.length, turn),
    id: `${short}-${at + 1}`,
    address: `10.42.${at % 3}.${20 + at + short.length}`,
    port: 8080,
    host: `node-${"abc"[at % 3]}`,
    health,
    weight: 1,
    inFlight: Math.round(rps * share * latencyMs * 0.001 * 3),
    connections: 4,
    latencyEwmaMs: latencyMs * (1 + 0.05 * Math.sin(turn / 5 + at)),
    ejectedBy,
    share,
  }));
}

function edge(
  source: string,
  destination: string,
  shape: Shape,
  turn: number,
  more: { protocol?: string; security?: Security } = {},
): EdgeFigures {
  const { protocol = "http", security = "mutual_tls" } = more;
  return {
    ...figures(shape, source.length + destination.length, turn),
    source,
    destination,
    protocol,
    securities: { [security]: Math.max(1, Math.round(shape.rps * 10)) },
    secured: security === "mutual_tls" || security === "same_host",
    inFlight: Math.round(shape.rps / 50),
  };
}

const SHOP: readonly (readonly [string, Shape, number])[] = [
  ["data/postgres", { rps: 34, p50Ms: 1.2 }, 1],
  ["data/sessions", { rps: 210, p50Ms: 0.6 }, 2],
  ["passthrough", { rps: 22, p50Ms: 80, success: 0.96 }, 0],
  ["shop/cart", { rps: 96, p50Ms: 6, success: 0.9993 }, 2],
  ["shop/catalog", { rps: 180, p50Ms: 5 }, 3],
  ["shop/frontend", { rps: 240, p50Ms: 14, success: 0.991 }, 2],
  ["shop/mail", { rps: 0 }, 1],
  ["shop/payments", { rps: 22, p50Ms: 31, success: 0.871 }, 2],
  ["shop/ratings", { rps: 148, p50Ms: 3 }, 2],
  ["shop/reviews", { rps: 150, p50Ms: 9, success: 0.9996 }, 3],
];

/** From this turn on one endpoint of reviews is slow, and the balancer turns away from it. */
const SLOW_FROM = 40;

function shopEndpoints(service: string, rps: number, count: number, turn: number) {
  if (service === "shop/reviews") {
    const into = Math.min(1, Math.max(0, (turn - SLOW_FROM) / 8));
    const lost = 0.333 - 0.306 * into;
    const rest = (1 - lost) / 2;
    const slowMs = 9 + 240 * Math.min(1, into * 2);
    return endpoints(
      service,
      rps,
      [
        { share: rest, latencyMs: 8.6 },
        { share: rest, latencyMs: 9.4 },
        { share: lost, latencyMs: slowMs },
      ],
      turn,
    );
  }
  if (service === "shop/payments") {
    return endpoints(
      service,
      rps,
      [
        { share: 1, latencyMs: 30 },
        { share: 0, latencyMs: 33, ejectedBy: ["node-a", "node-b"] },
      ],
      turn,
    );
  }
  const parts = Array.from({ length: count }, () => ({ share: 1 / count, latencyMs: 4 }));
  return endpoints(service, rps, parts, turn);
}

function shopEdges(turn: number): EdgeFigures[] {
  return [
    edge("edge/ingress", "shop/frontend", { rps: 240, p50Ms: 14, success: 0.991 }, turn),
    edge("shop/frontend", "shop/catalog", { rps: 180, p50Ms: 5 }, turn),
    edge("shop/frontend", "shop/reviews", { rps: 150, p50Ms: 9, success: 0.9996 }, turn),
    edge("shop/frontend", "shop/cart", { rps: 90, p50Ms: 6, success: 0.9993 }, turn, {
      security: "same_host",
    }),
    edge("shop/reviews", "shop/ratings", { rps: 148, p50Ms: 3 }, turn),
    edge("shop/cart", "shop/payments", { rps: 22, p50Ms: 31, success: 0.871 }, turn),
    edge("shop/cart", "data/sessions", { rps: 210, p50Ms: 0.6 }, turn, {
      protocol: "tcp",
      security: "no_identity",
    }),
    edge("shop/catalog", "data/postgres", { rps: 34, p50Ms: 1.2 }, turn, { protocol: "tcp" }),
    edge("shop/payments", "passthrough", { rps: 22, p50Ms: 80, success: 0.96 }, turn, {
      protocol: "tls",
      security: "passthrough",
    }),
    edge("unknown", "shop/cart", { rps: 6, p50Ms: 6 }, turn, { security: "unknown_caller" }),
    edge("ops/nightly-report", "data/postgres", { rps: 0 }, turn, { protocol: "tcp" }),
  ];
}

function shopHosts(turn: number, revision: number): HostSummary[] {
  const nowMs = START_MS + turn * EVERY_MS;
  const certificate = (name: string, hours: number) => ({
    identity: `spiffe://mesh.local/ns/shop/sa/${name}`,
    state: hours < 1 ? ("overdue" as const) : ("valid" as const),
    notAfterMs: nowMs + hours * 3_600_000,
  });
  const workload = (name: string, use: number, recent: number) => ({
    ...{ workload: name, addresses: ["10.42.0.9"], identity: `spiffe://mesh.local/${name}` },
    ...{ connections: Math.round(1024 * use), connectionLimit: 1024 },
    ...{ inFlight: Math.round(256 * use), inFlightLimit: 256 },
    ...{ bufferedBytes: Math.round(4e6 * use), recent, refused: use > 0.8 ? 1_284 : 0 },
  });
  const base = {
    ...{
      version: "0.1.0",
      state: "reporting" as const,
      uptimeMs: 86_400_000 * 3 + turn * EVERY_MS,
    },
    ...{ revision, refusal: null, capture: { mode: "tproxy", active: true } },
    workers: [0, 1].map((id) => ({ id, alive: true, restarts: 0 })),
  };
  return [
    {
      ...{ ...base, host: "node-a", zone: "zone-1" },
      workloads: [
        workload("shop/frontend", 0.21, 2_400),
        workload("shop/cart", 0.94, 9_100),
        workload("edge/ingress", 0.12, 2_400),
      ],
      certificates: [certificate("frontend", 19), certificate("cart", 0.7)],
      figures: figures({ rps: 420, success: 0.988, p50Ms: 9 }, 3, turn),
    },
    {
      ...{ ...base, host: "node-b", zone: "zone-1", revision: revision - 1 },
      refusal: { revision, reason: 'VirtualService shop/reviews: no subset is named "v9"' },
      workers: [
        { id: 0, alive: true, restarts: 2 },
        { id: 1, alive: true, restarts: 0 },
      ],
      workloads: [workload("shop/reviews", 0.16, 1_500), workload("shop/payments", 0.05, 220)],
      certificates: [certificate("reviews", 15), certificate("payments", 15)],
      figures: figures({ rps: 380, success: 0.991, p50Ms: 8 }, 4, turn),
    },
    {
      ...{ ...base, host: "node-c", zone: "zone-2", state: "silent" as const },
      ...{ uptimeMs: null, capture: null, workers: [], workloads: [], certificates: [] },
      figures: figures({ rps: 0 }, 5, turn),
    },
  ];
}

function shopErrors(turn: number): (ErrorReport & { host: string })[] {
  return Array.from({ length: 24 }, (_, at) => ({
    atMs: START_MS + turn * EVERY_MS - at * 3_700,
    source: at % 3 === 0 ? "shop/frontend" : "shop/cart",
    destination: at % 3 === 0 ? "shop/cart" : "shop/payments",
    endpoint: at % 4 === 0 ? null : "payments-1",
    method: at % 3 === 0 ? "GET" : "POST",
    path: at % 3 === 0 ? "/cart" : "/v1/charges",
    status: at % 4 === 0 ? 503 : 500,
    error: at % 4 === 0 ? "NO_ENDPOINT" : null,
    traceId: chance(at + 1)
      .toString(16)
      .slice(2)
      .padEnd(32, "0")
      .slice(0, 32),
    host: "node-a",
  }));
}

/** The shop at a turn: a turn is 2 s. */
export function shopReport(turn: number, revision = 42): PageReport {
  const services = SHOP.map(
    ([service, shape, count]): ServiceFigures => ({
      ...figures(shape, service.length, turn),
      service,
      protocols: service.startsWith("data/") ? ["tcp"] : ["http"],
      inFlight: Math.round(shape.rps / 60),
      errors: (shape.success ?? 1) < 0.95 ? { NO_ENDPOINT: 12 } : {},
      endpoints: shopEndpoints(service, shape.rps, count, turn),
    }),
  );
  const edges = shopEdges(turn);
  return {
    atMs: START_MS + turn * EVERY_MS,
    windowMs: 10_000,
    revision,
    total: figures({ rps: 1_080, success: 0.9912, p50Ms: 7 }, 1, turn),
    hosts: shopHosts(turn, revision),
    services,
    sources: sourcesOf(edges),
    edges,
    routes: [
      ["shop/frontend", "reviews-canary", 15],
      ["shop/frontend", "default", 135],
      ["shop/batch", "VirtualService shop/reviews#2", 0],
    ].map(([source, route, rps], at) => ({
      ...figures({ rps: Number(rps), p50Ms: 9 }, at, turn),
      ...{ source: String(source), destination: "shop/reviews", route: String(route) },
    })),
    recentErrors: shopErrors(turn),
  };
}

function sourcesOf(edges: readonly EdgeFigures[]): SourceFigures[] {
  const groups = Map.groupBy(edges, ({ source }) => source);
  return [...groups].map(([source, own]) => {
    const [first] = own;
    const rps = own.reduce((sum, one) => sum + one.rps, 0);
    return { ...first!, source, rps, inFlight: own.length };
  });
}

/** A mesh of so many services and edges in 20 namespaces, of which some fail. */
export function largeReport(turn: number, services = 500, edges = 2_000): PageReport {
  const names = Array.from({ length: services }, (_, at) => `team-${at % 20}/service-${at}`);
  const list = names.map((service, at): ServiceFigures => {
    const success = at % 41 === 0 ? 0.9 : at % 17 === 0 ? 0.985 : 1;
    const shape = { rps: 200 * chance(at), success, p50Ms: 2 + 20 * chance(at + 5_000) };
    return {
      ...figures(shape, at, turn),
      ...{ service, protocols: ["http"], inFlight: at % 9, errors: {} },
      endpoints: endpoints(
        service,
        shape.rps,
        [
          { share: 0.5, latencyMs: shape.p50Ms },
          { share: 0.5, latencyMs: shape.p50Ms },
        ],
        turn,
      ),
    };
  });
  const pairs = new Map<string, EdgeFigures>();
  for (let seed = 0; pairs.size < edges; seed++) {
    const from = Math.floor(chance(seed * 2 + 1) * services);
    // Calls go to later ones mostly, as in layers.
    const to = Math.min(services - 1, from + 1 + Math.floor(chance(seed * 2 + 2) * 120));
    if (from === to) continue;
    const security: Security = seed % 23 === 0 ? "not_in_mesh" : "mutual_tls";
    const success = to % 41 === 0 ? 0.9 : to % 17 === 0 ? 0.985 : 1;
    const shape = { rps: 40 * chance(seed + 9), success };
    pairs.set(`${from} ${to}`, edge(names[from]!, names[to]!, shape, turn, { security }));
  }
  const all = [...pairs.values()];
  return { ...shopReport(turn), services: list, edges: all, sources: sourcesOf(all), routes: [] };
}
