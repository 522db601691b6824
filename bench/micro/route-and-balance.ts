import { parseArgs } from "node:util";
import type { RequestFacts } from "../../src/core/facts.ts";
import { seeded } from "../../src/core/random.ts";
import type { DataEndpoint } from "../../src/core/snapshot.ts";
import { textTable } from "../../src/core/text-table.ts";
import { type Destination, pickEndpoint, type Router } from "../../src/proxy/resolve.ts";
import { spread } from "../lib/statistics.ts";
import { type RoutingMesh, routingMesh } from "./routing-mesh.ts";

/**
 * CPU time that a worker spends on a request to find its service, choose an endpoint and count what happened, with
 * the very code of the data path and without sockets, as services or endpoints grow. 64 client connections take turns,
 * and a request is answered when its connection has its turn again: so nothing is remembered from one request to the
 * next, and its end comes when others have been in the caches.
 */
const USAGE = `node bench/micro/route-and-balance.ts [options]

  --vary services|endpoints  what grows (default services)
  --points N,N,...           how many of them (default 10,100,1000,10000)
  --endpoints N              endpoints of each service while services grow (default 4)
  --called N                 call only so many of the services, always the same (default all)
  --order shuffled|in-turn   order in which services are called (default shuffled)
  --rounds N                 rounds, of which the median counts (default 15)
  --requests N               requests of a step in a round (default 200000)`;

const STEPS = ["name", "match", "balance", "count", "all"] as const;
type Step = (typeof STEPS)[number];

/** The order repeats after this many requests: read in sequence, it hardly touches the caches. */
const ORDER = 1 << 17;
const CONNECTIONS = 64;
const LATENCY_MS = 0.3;
const SUCCESS = { status: 200, local: false, latencyMs: LATENCY_MS };
const WARM_ROUNDS = 3;
const NONE: readonly DataEndpoint[] = [];

interface Options {
  readonly vary: "services" | "endpoints";
  readonly points: readonly number[];
  readonly endpoints: number;
  /** 0: all. */
  readonly called: number;
  readonly shuffled: boolean;
  readonly rounds: number;
  readonly requests: number;
}

interface Subject {
  readonly points: number;
  readonly mesh: RoutingMesh;
  readonly order: Int32Array;
  /** They take turns, so that this many requests are under way at any time. */
  readonly clients: readonly Client[];
  /** Of each service, as a match gives it. */
  readonly clusters: readonly ToCluster[];
  /** CPU time of a request, one value a round. */
  readonly micros: Record<Step, number[]>;
}

interface Client {
  readonly router: Router;
  readonly facts: RequestFacts;
  /** Where the request went that is not yet answered. */
  underWay: ToCluster | null;
}

type ToCluster = Extract<Destination, { kind: "cluster" }>;

function number(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`not a positive number: ${text}`);
  return value;
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ vary: { type: "string", default: "services" } },
      ...{ points: { type: "string", default: "10,100,1000,10000" } },
      ...{ endpoints: { type: "string", default: "4" } },
      ...{ called: { type: "string", default: "all" } },
      ...{ order: { type: "string", default: "shuffled" } },
      ...{ rounds: { type: "string", default: "15" } },
      ...{ requests: { type: "string", default: "200000" } },
    },
  });
  const calledOf = (text: string): number => (text === "all" ? 0 : number(text));
  const { vary, order } = values;
  if (vary !== "services" && vary !== "endpoints") throw new Error(`--vary ${vary}`);
  if (order !== "shuffled" && order !== "in-turn") throw new Error(`--order ${order}`);
  return {
    ...{ vary, shuffled: order === "shuffled", points: values.points.split(",").map(number) },
    ...{ endpoints: number(values.endpoints), rounds: number(values.rounds) },
    ...{ requests: number(values.requests), called: calledOf(values.called) },
  };
}

function subjectOf(points: number, { vary, endpoints, called, shuffled }: Options): Subject {
  const mesh =
    vary === "services"
      ? routingMesh(points, endpoints, CONNECTIONS)
      : routingMesh(1, points, CONNECTIONS);
  const services = mesh.services.length;
  const count = called === 0 ? services : Math.min(called, services);
  // At equal distances: neighbours would be neighbours in memory, too.
  const order = Int32Array.from({ length: ORDER }, (_, at) =>
    Math.floor(((at % count) * services) / count),
  );
  const random = seeded(points);
  for (let at = ORDER - 1; shuffled && at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    const kept = order[at] ?? 0;
    order[at] = order[other] ?? 0;
    order[other] = kept;
  }
  const clusters = mesh.services.map((service) => {
    const cluster = mesh.plane.clusters.get(service, { portName: "", subset: "", namespace: null });
    return { kind: "cluster", cluster, fixed: null } as const;
  });
  const micros = { name: [], match: [], balance: [], count: [], all: [] };
  const clients = mesh.clients.map((client) => ({ ...client, underWay: null }));
  return { points, mesh, order, clients, clusters, micros };
}

/** The name as it comes from the socket: a fresh string, whose hash nobody has computed yet. */
function readName({ mesh }: Subject, _client: Client, at: number): void {
  const { head, names, nameBytes } = mesh;
  head.host = names.toString("latin1", at * nameBytes, (at + 1) * nameBytes);
}

/** As `Exchange` does it. */
function match(subject: Subject, client: Client, at: number): ToCluster {
  readName(subject, client, at);
  const { head } = subject.mesh;
  const destination = client.router.route(head);
  if (destination.kind !== "cluster") throw new Error(`${head.host} was not found`);
  client.facts.service = destination.cluster.service;
  return destination;
}

/** As `Attempt` does it, but for the pool. */
function balance({ mesh: { plane } }: Subject, { facts }: Client, destination: ToCluster): void {
  const endpoint = pickEndpoint(destination, -1, NONE);
  plane.endpoints.begin(endpoint.slot);
  facts.endpoint = endpoint;
}

/** As `Attempt` does it when the answer comes. */
function balanced({ mesh: { plane } }: Subject, { facts }: Client, destination: ToCluster): void {
  const { endpoints, outlier, clock } = plane;
  const endpoint = facts.endpoint as DataEndpoint;
  const nowMs = clock.now();
  endpoints.observe(endpoint.slot, LATENCY_MS, false, nowMs);
  outlier.onResult(destination.cluster.group, endpoint, SUCCESS, nowMs);
  endpoints.end(endpoint.slot);
}

/** As `Exchange` does it at the beginning. */
function count({ mesh: { plane } }: Subject, { facts }: Client): void {
  plane.recorder.started(facts.source, facts.service);
  plane.recorder.event("upstream_connection_reused");
}

/** As `Exchange` does it at the end. */
function counted({ mesh: { plane } }: Subject, { facts }: Client): void {
  plane.recorder.exchange(facts);
}

/** Each ends the request of this client that is under way, and begins the next one. */
const RUN: Readonly<Record<Step, (subject: Subject, client: Client, at: number) => void>> = {
  name: readName,
  match,
  balance: (subject, client, at) => {
    const { underWay } = client;
    if (underWay !== null) balanced(subject, client, underWay);
    client.underWay = subject.clusters[at] as ToCluster;
    balance(subject, client, client.underWay);
  },
  count: (subject, client, at) => {
    if (client.underWay !== null) counted(subject, client);
    client.underWay = subject.clusters[at] as ToCluster;
    const { service } = client.underWay.cluster;
    client.facts.service = service;
    client.facts.endpoint = service.endpoints[at % service.endpoints.length] ?? null;
    count(subject, client);
  },
  all: (subject, client, at) => {
    const { underWay } = client;
    if (underWay !== null) {
      balanced(subject, client, underWay);
      counted(subject, client);
    }
    client.underWay = match(subject, client, at);
    balance(subject, client, client.underWay);
    count(subject, client);
  },
};

/** Microseconds of CPU of this thread for one request. */
function time(step: Step, subject: Subject, requests: number, start: number): number {
  const run = RUN[step];
  const { order, clients } = subject;
  for (const client of clients) client.underWay = null;
  const before = process.threadCpuUsage();
  for (let request = 0; request < requests; request++) {
    const client = clients[request % CONNECTIONS] as Client;
    run(subject, client, order[(start + request) & (ORDER - 1)] as number);
  }
  const { user, system } = process.threadCpuUsage(before);
  // What is still under way must not stay in flight for the balancer, which would see a load that nobody has.
  if (step === "balance" || step === "all") {
    for (const client of clients) {
      if (client.underWay !== null) balanced(subject, client, client.underWay);
    }
  }
  return (user + system) / requests;
}

/** Everybody in turn, round after round, so that what changes on the machine meets all of them. */
function measure(subjects: readonly Subject[], { rounds, requests }: Options): void {
  for (let round = -WARM_ROUNDS; round < rounds; round++) {
    for (const subject of subjects) {
      for (const step of STEPS) {
        const micros = time(step, subject, requests, (round + WARM_ROUNDS) * requests);
        if (round >= 0) subject.micros[step].push(micros);
      }
    }
  }
}

function report(subjects: readonly Subject[], { vary }: Options): string[] {
  const middle = ({ micros }: Subject, step: Step) => spread(micros[step]).median;
  // The name is read for the match; what that costs is the same for everybody.
  const net = (subject: Subject, step: Step) =>
    middle(subject, step) - (step === "match" || step === "all" ? middle(subject, "name") : 0);
  const columns = ["match", "balance", "count", "all"] as const;
  const [least] = subjects;
  const rows = subjects.map((subject) => {
    const cells = columns.map((step) => {
      const factor = least === undefined ? 1 : net(subject, step) / net(least, step);
      return `${net(subject, step).toFixed(2)} (${factor.toFixed(2)}x)`;
    });
    const { min, max } = spread(subject.micros.all);
    return [String(subject.points), ...cells, `${min.toFixed(2)}-${max.toFixed(2)}`];
  });
  const right = { align: "right" } as const;
  const titles = [...columns.map((name) => `${name} us`), "all, min-max"];
  return textTable(
    [{ title: vary, ...right }, ...titles.map((title) => ({ title, ...right }))],
    rows,
    { width: Number.POSITIVE_INFINITY, color: false },
  );
}

const isHelp = process.argv.includes("--help");
if (isHelp) console.log(USAGE);
else {
  const options = parseOptions(process.argv.slice(2));
  const subjects = options.points.map((points) => subjectOf(points, options));
  measure(subjects, options);
  for (const line of report(subjects, options)) console.log(line);
}
