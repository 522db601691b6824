import { hostname } from "node:os";
import * as z from "zod";
import { balance } from "./schema-balance.ts";
import { dashboard } from "./schema-dashboard.ts";
import { detection } from "./schema-detection.ts";
import { registryStore } from "./schema-etcd.ts";
import { kubernetes, registrySource } from "./schema-kubernetes.ts";
import { identity, mesh, tokenReview } from "./schema-mesh.ts";
import { telemetry } from "./schema-telemetry.ts";
import { pool, retries } from "./schema-upstream.ts";
import { user } from "./schema-user.ts";
import { address, count, httpUrl, ms, optionalHttpsUrl, port, subnet } from "./setting-fields.ts";

/**
 * Every setting: type, default, unit and the trade-off. `docs/configuration.md` is generated from here
 * (`npm run docs`) and a test compares the two. Durations end in `Ms`, sizes in `Bytes`.
 */
const capture = z
  .strictObject({
    mode: z
      .enum(["auto", "tproxy", "redirect", "explicit"])
      .default("auto")
      .describe(
        "How connections reach the daemon. auto: tproxy as root on Linux, else explicit. tproxy keeps both addresses and needs no conntrack; redirect is for hosts without TPROXY; explicit installs no rules.",
      ),
    onDeath: z
      .enum(["open", "closed"])
      .default("open")
      .describe(
        "What happens to containers when the daemon is gone: open lets them talk directly, closed refuses their connections.",
      ),
    deadManMs: ms(
      5_000,
      "Lifetime of the dead-man entry that the guardian refreshes four times in this span. Smaller fails over faster, but a stalled host may be taken for a dead daemon.",
    ),
    ipv6: z
      .enum(["auto", "on", "off"])
      .default("auto")
      .describe("Capture IPv6 too. auto: where ip6tables works."),
    excludePorts: z
      .array(z.number().int().min(1).max(65_535))
      .default([])
      .describe("Destination ports that are never captured, from containers or to them."),
    excludeSubnets: z
      .array(subnet())
      .default([])
      .describe("Subnets (CIDR) never captured, as source or destination."),
    verifySource: z
      .enum(["on", "off"])
      .default("on")
      .describe(
        "Drop connections that carry a workload's address but come from another interface than it is behind. Needs the kernel's rpfilter match.",
      ),
    mark: z
      .number()
      .int()
      .min(1)
      .default(0x4d4d)
      .describe("Packet mark of captured packets (TPROXY); must be free on the host."),
    table: z
      .number()
      .int()
      .min(1)
      .default(15_001)
      .describe("Routing table that delivers marked packets locally."),
  })
  .prefault({})
  .describe("Capture of container traffic on the host.");

const ports = z
  .strictObject({
    bind: address()
      .default("127.0.0.1")
      .describe(
        "Address of the explicit proxy port. Containers need an address that they can reach; 0.0.0.0 or :: opens it to all.",
      ),
    explicit: port(4_140, "Explicit proxy (absolute-form, CONNECT, origin-form by Host)."),
    outbound: port(15_001, "Capture of outbound connections."),
    admin: port(15_000, "Admin API, loopback only."),
    metrics: port(15_020, "Prometheus metrics."),
    metricsBind: address()
      .default("0.0.0.0")
      .describe(
        "Address of the metrics and readiness ports; Prometheus and the kubelet come from outside.",
      ),
    ready: port(15_021, "Readiness: /healthz/ready."),
  })
  .prefault({})
  .describe("Listening ports. 0 takes any free port (tests).");

const registry = z
  .strictObject({
    urls: z
      .array(httpUrl())
      .default(["http://127.0.0.1:15010"])
      .describe(
        "Registries to try in turn; of a name that has several addresses, each of them. When one is lost the next is tried at once.",
      ),
    bind: address()
      .default("127.0.0.1")
      .describe("Address of the registry's own API (hostmesh registry, hostmesh up)."),
    port: port(15_010, "Port of the registry's HTTP and WebSocket API."),
    tlsBind: address()
      .default("0.0.0.0")
      .describe("Address of the registry's API on TLS, for daemons of other hosts."),
    tlsPort: port(15_012, "Port of the same API on TLS, where callers prove who they are."),
    metricsPort: port(
      15_014,
      "Port of the registry's Prometheus metrics; 0: any free one. A port that is taken is warned of, and the registry serves without them.",
    ),
    metricsBind: address()
      .default("0.0.0.0")
      .describe("Address of that port; Prometheus comes from outside."),
    tlsUrl: optionalHttpsUrl()
      .default("")
      .describe(
        "Where the daemon asks for certificates if registry.urls has no https URL. hostmesh up names its own registry.",
      ),
    hostsRegister: z
      .enum(["off", "own"])
      .default("off")
      .describe(
        "May a host, by its certificate, register endpoints and workloads of its own? Whoever registers decides which identities live where: with own, a compromised host can give itself any identity.",
      ),
    caFile: z
      .string()
      .default("")
      .describe(
        "PEM of an authority that signs certificates, with its chain up to the root. Default: the registry makes a root of its own.",
      ),
    caKeyFile: z.string().default("").describe("PEM of that authority's key."),
    leafLifetimeMs: ms(
      86_400_000,
      "Lifetime of a workload's certificate; it is renewed at half of it. Istio's default.",
    ),
    hostLifetimeMs: ms(
      604_800_000,
      "Lifetime of a host's certificate. A host that was off for longer needs a new join token.",
    ),
    ...registryStore,
    ...tokenReview,
    ...registrySource,
    virtualCidr4: subnet(4)
      .default("240.240.0.0/16")
      .describe("Virtual IPv4 addresses for services that bring none (Istio's range)."),
    virtualCidr6: subnet(6)
      .default("2001:2::/48")
      .describe("Virtual IPv6 addresses for services that bring none (Istio's range)."),
    historyPerResource: z
      .number()
      .int()
      .min(0)
      .max(1_000)
      .default(10)
      .describe(
        "Revisions that the registry keeps of each applied resource, the newest included, for hostmesh history and rollback. 0: none.",
      ),
    reconnectMinMs: ms(100, "First delay before a daemon reconnects; doubles with full jitter."),
    reconnectMaxMs: ms(10_000, "Longest delay between reconnects."),
    pingMs: ms(5_000, "Interval of watch heartbeats; a peer silent for three of them is dropped."),
  })
  .prefault({})
  .describe("Registry, and how daemons reach it.");

const timeouts = z
  .strictObject({
    headMs: ms(
      30_000,
      "From the first byte of a request head to its end; then 408. Slow-loris guard.",
    ),
    downstreamIdleMs: ms(3_600_000, "Idle keep-alive connection from a client. Envoy's default."),
    connectMs: ms(5_000, "TCP connect to an endpoint. Envoy's default."),
    handshakeMs: ms(
      10_000,
      "TLS handshake between hosts, and the opening of a connection behind it, on both sides.",
    ),
    poolQueueMs: ms(3_000, "Waiting for a free upstream connection. Linkerd's failfast time."),
    responseHeadMs: ms(
      300_000,
      "From the end of the request to the response head; then 504. Long polls need it long.",
    ),
    streamIdleMs: ms(300_000, "No byte of a body in either direction. Envoy's stream idle time."),
    clientGoneMs: ms(
      1_000,
      "A client that has ended its direction while its answer is due: how long the answer is waited for, unless its bytes flow. Most such clients have given up.",
    ),
    upstreamIdleMs: ms(
      55_000,
      "Idle pooled connection. Below the 60 s at which common servers close, so that they rarely close first.",
    ),
    freshMs: ms(
      2_000,
      "A request that may not be replayed only takes a pooled connection that was idle for less than this.",
    ),
    tunnelIdleMs: ms(
      3_600_000,
      "TCP tunnel or upgraded connection (WebSocket) without a byte in either direction; a rule's idle limit goes before. Envoy's default.",
    ),
    halfCloseMs: ms(
      300_000,
      "A tunnel of which one direction has ended, without a byte in the other.",
    ),
    drainMs: ms(30_000, "Longest wait for requests and tunnels at shutdown."),
    warmUpMs: ms(
      1_000,
      "Longest time in which a new worker warms its code with requests of its own before it takes traffic. Longer makes the first seconds after a start smoother, and the start itself slower.",
    ),
  })
  .prefault({})
  .describe("Time limits at every phase. 0 switches one off.");

const limits = z
  .strictObject({
    requestLineBytes: count(8_192, "Request line; beyond it 414."),
    headBytes: count(
      61_440,
      "Whole head, request or response; beyond it 431 or 502. Envoy's 60 KiB.",
    ),
    headerCount: count(100, "Fields of one head or trailer. Envoy's default."),
    connections: count(
      50_000,
      "Accepted connections per worker. Beyond it new ones get 503 on the explicit port, and are reset where they are captured.",
    ),
    handshakes: count(
      256,
      "Unfinished TLS handshakes from other hosts per worker, a quarter of it from one address; beyond it connections are closed at once.",
    ),
    workloadConnections: count(
      10_000,
      "Connections of one workload over all workers; beyond it the same.",
    ),
    workloadInFlight: count(
      2_000,
      "Requests in flight of one workload over all workers; beyond it 429.",
    ),
    workloadPending: count(
      1_024,
      "Requests of one workload that wait for a connection, over all workers; beyond it 503 POOL_QUEUE_FULL.",
    ),
    workloadRetries: count(
      1_024,
      "Retries of one workload under way over all workers; beyond it the failure or the response is passed on.",
    ),
    workloadBufferBytes: count(
      268_435_456,
      "Bytes of one workload in the buffers of all workers: for peers that read slowly, of bodies kept for replays, of requests sent ahead. Beyond it its streams are not read, bodies are not kept, and new requests get 429.",
    ),
    turnRequests: z
      .number()
      .int()
      .min(0)
      .default(8)
      .describe(
        "Requests, or pieces of 64 KiB of a stream, that a worker takes on in one turn of its event loop from sources that send more; it is divided among these, and the rest waits for the next turn. Smaller: a flood delays others less; larger: fewer turns. 0: no limit.",
      ),
    replayBytes: count(
      65_536,
      "Request body kept for a replay; a longer body is sent once. Linkerd's 64 KiB.",
    ),
    attempts: count(3, "Tries of one request, the first included. Istio's default."),
    endpoints: count(
      131_072,
      "Endpoints with shared state; more are refused with an alarm metric.",
    ),
    workloads: count(16_384, "Local workloads with shared state."),
    services: count(
      32_768,
      "Services and subsets whose limits and retry budgets are counted; those beyond it have none.",
    ),
    rateBuckets: count(
      65_536,
      "Buckets of rate limits: one for each limit, caller and header value that was seen of late; a request that finds none is let through and counted.",
    ),
    metricSeries: count(
      8_192,
      "Label sets per worker and metric family; the rest is folded into `other`.",
    ),
  })
  .prefault({})
  .describe(
    "Limits. What goes beyond a limit on requests or connections ends with a code of docs/errors.md. Endpoints, workloads and label sets beyond theirs are left out or folded, and a metric counts them. `attempts` and `replayBytes` only bound what is sent again.",
  );

export const configSchema = z.strictObject({
  host: z.string().min(1).prefault(hostname()).meta({
    description:
      "This host's name, as registered endpoints and workloads give it. Default: the system's host name.",
    // Tells the generated page not to print the value: it is this machine's.
    machineDefault: true,
  }),
  zone: z.string().default("").describe("Zone of this host; empty: as the registry knows it."),
  region: z.string().default("").describe("Region of this host, above its zone. Empty: likewise."),
  workers: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("Data-path threads; 0: one per CPU, at most 8."),
  dataDir: z
    .string()
    .default("")
    .describe(
      "Where the registry's store and the last good snapshot live. Default: /var/lib/hostmesh as root, else $XDG_STATE_HOME/hostmesh.",
    ),
  user,
  capture,
  ports,
  registry,
  kubernetes,
  identity,
  mesh,
  timeouts,
  limits,
  pool,
  balance,
  retries,
  detection,
  telemetry,
  dashboard,
});

export type Config = z.infer<typeof configSchema>;
/** What a user may write: everything is optional. */
export type ConfigInput = z.input<typeof configSchema>;
