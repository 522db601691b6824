import { spiffeId } from "./credentials.ts";
import {
  type Address,
  credentialsOf,
  isHttp,
  isHttp2,
  isTls,
  type ProxyPlan,
  type Relay,
  type Route,
  type Wire,
} from "./relay.ts";

const HEAD = `# "What are best practices for benchmarking Envoy?": --concurrency as many as the other contestants have workers;
# circuit breaking disabled ("Is there a way to disable circuit breaking?"); dynamic_stats of the router off; no tracing,
# no access log. generate_request_id stays on, because every contestant adds a request id. Statistics are at their
# defaults, and there is no admin port.
`;
/** What the FAQ on circuit breaking gives. */
const NO_LIMIT = 1_000_000_000;
const TYPE = "type.googleapis.com/envoy.extensions";
const MANAGER = `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`;
const TCP_PROXY = `${TYPE}.filters.network.tcp_proxy.v3.TcpProxy`;
const TLS = `${TYPE}.transport_sockets.tls.v3`;
const HTTP_OPTIONS = `${TYPE}.upstreams.http.v3.HttpProtocolOptions`;

/**
 * Envoy as a proxy that does to a request what hostmesh does, as far as it can. Time limits are those of hostmesh's
 * defaults, as each sets timers.
 */
export function envoyConfig(plan: ProxyPlan): string {
  const { relays } = plan;
  const config = {
    static_resources: {
      listeners: relays.map((relay) => listener(plan, relay)),
      clusters: relays.flatMap((relay) => relay.routes.map((route) => cluster(plan, relay, route))),
    },
  };
  // JSON is YAML, which may have comments.
  return `${HEAD}${JSON.stringify(config, null, 2)}\n`;
}

function listener(plan: ProxyPlan, relay: Relay): object {
  return {
    name: relay.name,
    address: socketAddress(relay.listen),
    filter_chains: [
      {
        filters: [isHttp(relay.accepts) ? httpFilter(relay) : tcpFilter(relay)],
        ...(isTls(relay.accepts) ? { transport_socket: acceptTls(plan, relay.accepts) } : {}),
      },
    ],
  };
}

function httpFilter({ name, accepts, routes }: Relay): object {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": MANAGER,
      stat_prefix: name,
      codec_type: isHttp2(accepts) ? "HTTP2" : "HTTP1",
      // Appends X-Forwarded-For, as everybody does. A caller that is another sidecar has made the request id.
      use_remote_address: true,
      preserve_external_request_id: true,
      via: "1.1 envoy",
      stream_idle_timeout: "300s",
      request_headers_timeout: "30s",
      common_http_protocol_options: { idle_timeout: "3600s" },
      http_filters: [
        {
          name: "envoy.filters.http.router",
          typed_config: {
            "@type": `${TYPE}.filters.http.router.v3.Router`,
            dynamic_stats: false,
            suppress_envoy_headers: true,
          },
        },
      ],
      route_config: {
        name,
        virtual_hosts: routes.map(({ authority }) => ({
          name: authority,
          domains: [authority],
          routes: [
            {
              match: { prefix: "/" },
              route: { cluster: clusterName(name, authority), timeout: "300s" },
            },
          ],
        })),
      },
    },
  };
}

function tcpFilter({ name, routes: [route] }: Relay): object {
  if (route === undefined) throw new TypeError("a relay of TCP needs a service");
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: {
      "@type": TCP_PROXY,
      stat_prefix: name,
      cluster: clusterName(name, route.authority),
      idle_timeout: "3600s",
    },
  };
}

function cluster(plan: ProxyPlan, { name, dials }: Relay, { authority, to }: Route): object {
  const cluster_name = clusterName(name, authority);
  return {
    name: cluster_name,
    type: "STATIC",
    connect_timeout: "5s",
    lb_policy: "LEAST_REQUEST",
    circuit_breakers: {
      thresholds: [
        {
          max_connections: NO_LIMIT,
          max_pending_requests: NO_LIMIT,
          max_requests: NO_LIMIT,
          max_retries: NO_LIMIT,
        },
      ],
    },
    load_assignment: {
      cluster_name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(to) } }] }],
    },
    ...(isHttp(dials) ? { typed_extension_protocol_options: httpOptions(dials) } : {}),
    ...(isTls(dials) ? { transport_socket: dialTls(plan, dials, authority) } : {}),
  };
}

function httpOptions(dials: Wire): object {
  const protocol = isHttp2(dials) ? "http2_protocol_options" : "http_protocol_options";
  return {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": HTTP_OPTIONS,
      explicit_http_config: { [protocol]: {} },
    },
  };
}

/** Callers need a certificate of our authority, and to be a workload of the bench. */
function acceptTls(plan: ProxyPlan, wire: Wire): object {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": `${TLS}.DownstreamTlsContext`,
      require_client_certificate: true,
      common_tls_context: commonTls(plan, wire, {
        san_type: "URI",
        matcher: { prefix: spiffeId("") },
      }),
    },
  };
}

function dialTls(plan: ProxyPlan, wire: Wire, name: string): object {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": `${TLS}.UpstreamTlsContext`,
      sni: name,
      common_tls_context: commonTls(plan, wire, {
        san_type: "URI",
        matcher: { exact: spiffeId(name) },
      }),
    },
  };
}

function commonTls(plan: ProxyPlan, wire: Wire, expected: object): object {
  const { certificate, key, authority } = credentialsOf(plan);
  const protocol = isHttp2(wire) ? ["h2"] : wire === "tls-http1" ? ["http/1.1"] : [];
  return {
    tls_params: {
      tls_minimum_protocol_version: "TLSv1_3",
      tls_maximum_protocol_version: "TLSv1_3",
    },
    tls_certificates: [
      { certificate_chain: { filename: certificate }, private_key: { filename: key } },
    ],
    validation_context: {
      trusted_ca: { filename: authority },
      match_typed_subject_alt_names: [expected],
    },
    ...(protocol.length === 0 ? {} : { alpn_protocols: protocol }),
  };
}

function socketAddress({ host, port }: Address): object {
  return { socket_address: { address: host, port_value: port } };
}

function clusterName(relay: string, authority: string): string {
  return `${relay}-${authority}`;
}
